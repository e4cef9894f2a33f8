/** Step 6 of the walk for one held thread, lazily: the spare region moves in, with the intent recorded before. */

import { closeSync } from "node:fs";
import type { Trigger } from "../../ledger/events.js";
import type { LargePage } from "../../recovery/large-page.js";
import { placeSpare } from "../../recovery/lazy-swap.js";
import type { Spare } from "../../recovery/spare.js";
import type { HeldThread } from "../../tracee/held-thread.js";
import type { RemoteCalls } from "../../tracee/remote-calls.js";
import type { GuardContext } from "../guard-context.js";
import { openBacking } from "../open-backing.js";
import { recordIntent } from "../record-intent.js";
import { restoreBusHandler } from "../release.js";
import type { Replaced } from "../replaced.js";
import { tellTrouble } from "../tell-trouble.js";

/** Why, and since when. */
export interface LazyCourse {
  readonly trigger: Trigger;
  readonly since: number;
  /** Why lazily, for the ledger. */
  readonly fillWhy: string;
  readonly onlyTouched: boolean;
}

/** @returns what is known @throws HugemendError: the mapping is as it was, and the spare still there */
export function replaceLazily(
  guard: GuardContext,
  held: HeldThread,
  page: LargePage,
  spare: Spare,
  { trigger, since, fillWhy, onlyTouched }: LazyCourse,
): Replaced {
  const { file, identity } = openBacking(guard.pid, page);
  const source = { file, offset: page.offset, size: page.size, pretendBad: guard.pretendBad };
  const forced = held.canDeliver;
  let lost: readonly number[] | undefined;
  try {
    using remote = held.borrow();
    lost = placeSpare(remote, {
      page,
      spare,
      source,
      reported: guard.reportedBad(page),
      onStep: guard.onStep,
      commit: (known) => recordIntent(guard, { page, file: identity, trigger, fill: "lazy", fillWhy }, known),
    });
    restoreBusHandler(guard, remote, forced);
  } catch (error) {
    if (lost === undefined) {
      closeSync(file);
      if (spare.spoiled) discard(guard, spare);
      throw error;
    }
    tellTrouble(guard, "After the large page was replaced", error);
  }
  const { base, size, offset, device, inode } = page;
  const begin = (): void => {
    guard.spares.used(spare);
    guard.fills.start({
      page: { base, size, offset, device, inode },
      spare,
      source,
      since,
      onlyTouched,
    });
    guard.onStep("fill-begun");
    guard.later(() => prepareSpares(guard));
  };
  return { fill: "lazy", lost, bytes: 0, begin };
}

function discard(guard: GuardContext, spare: Spare): void {
  guard.spares.used(spare);
  guard.later(() =>
    withThread(guard, "A spare region could not be removed", (remote) => spare.remove(remote)),
  );
  guard.later(() => prepareSpares(guard));
}

/** Lays out the next spare, in a thread that is borrowed for it. */
export function prepareSpares(guard: GuardContext): void {
  if (!guard.spares.wanting) return;
  withThread(guard, "The next spare region could not be laid out", (remote) => guard.spares.prepare(remote));
}

/** Leaves nothing behind in the VM. */
export function removeSpares(guard: GuardContext): void {
  if (guard.spares.descriptors.length === 0) return;
  const trouble = "The spare regions stay in the VM until the next guard comes; they cost address space only";
  withThread(guard, trouble, (remote) => guard.spares.remove(remote));
}

/** Never throws. @param trouble what to say if it cannot be done */
function withThread(guard: GuardContext, trouble: string, work: (remote: RemoteCalls) => void): void {
  try {
    guard.tracee.withAny(work);
  } catch (error) {
    tellTrouble(guard, trouble, error);
  }
}
