/** Step 6 of the walk for one held thread, lazily: the spare region moves in, with the intent recorded before. */

import { closeSync } from "node:fs";
import type { Trigger } from "../../ledger/events.js";
import type { Hva } from "../../linux/address.js";
import { watchReadable } from "../../linux/native.js";
import { readMessages } from "../../linux/userfaultfd-fill.js";
import type { LargePage } from "../../recovery/large-page.js";
import { placeSpare } from "../../recovery/lazy-swap.js";
import type { Spare } from "../../recovery/spare.js";
import { hasThreadAdrift } from "../../tracee/adrift.js";
import type { HeldThread } from "../../tracee/held-thread.js";
import type { GuardContext } from "../guard-context.js";
import { openBacking } from "../open-backing.js";
import { discardSpare, prepareSpares } from "../prepare-spares.js";
import { recordIntent } from "../record-intent.js";
import { restoreBusHandler } from "../release.js";
import type { Replaced } from "../replaced.js";
import { tellTrouble } from "../tell-trouble.js";
import type { Filling } from "./lazy-fills.js";

/** Why, and since when. */
export interface LazyCourse {
  readonly trigger: Trigger;
  /** Somewhere in the page. */
  readonly address: Hva;
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
  { trigger, address, since, fillWhy, onlyTouched }: LazyCourse,
): Replaced {
  const { file, identity, source } = openBacking(guard, page);
  const forced = held.canDeliver;
  let lost: readonly number[] | undefined;
  try {
    using remote = held.borrow();
    lost = placeSpare(remote, {
      page,
      spare,
      source,
      reported: guard.reportedBad(page),
      touched: held.canDeliver ? Number(address - page.base) : undefined,
      onStep: guard.onStep,
      commit: (known) => recordIntent(guard, { page, file: identity, trigger, fill: "lazy", fillWhy }, known),
    });
    restoreBusHandler(guard, remote, forced);
  } catch (error) {
    if (lost === undefined && hasThreadAdrift(guard.pid)) {
      guard.spares.leave(spare);
      const { base, size, offset, device, inode } = page;
      const filling = { page: { base, size, offset, device, inode }, spare, source, since, onlyTouched };
      if (spare.moved) fillMoved(guard, filling);
      else fillIfMoved(guard, filling);
      throw error;
    }
    if (lost === undefined) {
      closeSync(file);
      if (spare.spoiled) discardSpare(guard, guard.spares, spare);
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

/** A thread that has not come back may still move the region; it waits in that call until the message is taken, and others for their pages. */
function fillIfMoved(guard: GuardContext, filling: Filling): void {
  const { userfaultfd } = filling.spare;
  const stop = watchReadable(userfaultfd, () => {
    // A fault says the same: nobody touches the region where it was laid out.
    if (readMessages(userfaultfd).length === 0) return;
    stop();
    fillMoved(guard, filling);
  });
}

function fillMoved(guard: GuardContext, filling: Filling): void {
  // What is lost in it is known when it is full.
  guard.replaced.replaced(filling.page.base, []);
  guard.fills.start(filling);
}
