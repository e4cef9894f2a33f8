/** Steps 5 and 6 of the walk for one held thread: salvage and swap, with the intent recorded before the swap. */

import { closeSync, fstatSync, openSync } from "node:fs";
import type { Trigger } from "../ledger/events.js";
import { hex } from "../linux/address.js";
import { mapFilesPath } from "../linux/procfs/map-files.js";
import type { LargePage } from "../recovery/large-page.js";
import { RecoveryError } from "../recovery/recovery-error.js";
import type { Salvaged } from "../recovery/salvage.js";
import { swapLargePage } from "../recovery/swap.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext } from "./guard-context.js";
import { restoreBusHandler } from "./release.js";
import { tellTrouble } from "./tell-trouble.js";

/** @returns what was saved @throws HugemendError: the mapping is as it was */
export function replaceLargePage(
  guard: GuardContext,
  held: HeldThread,
  page: LargePage,
  trigger: Trigger,
): Salvaged {
  const attributes = guard.attributesOf(page.mapping);
  const { file, identity } = openBacking(guard.pid, page);
  const forced = held.canDeliver;
  let salvaged: Salvaged | undefined;
  try {
    using remote = held.borrow();
    salvaged = swapLargePage(remote, {
      page,
      file,
      attributes,
      processDescriptor: guard.processDescriptor,
      poisonWith: guard.policy.poisonWith ?? "uffd",
      salvage: guard.salvage,
      onStep: guard.onStep,
      commit: ({ lost }) => {
        if (lost.length === 0 && !guard.acceptsIntact) throw nothingLost(page);
        const guest = guard.vm?.gpaOf(page.base) ?? null;
        guard.journal.require({
          event: "intent",
          hva: hex(page.base),
          gpa: guest === null ? null : hex(guest),
          offset: Number(page.offset),
          pageSize: page.size,
          file: identity,
          lost,
          trigger,
          fill: "eager",
        });
      },
    });
    restoreBusHandler(guard, remote, forced);
  } catch (error) {
    if (salvaged === undefined) throw error;
    tellTrouble(guard, "After the large page was replaced", error);
  } finally {
    closeSync(file);
  }
  return salvaged;
}

/**
 * A signal without a bad 4 KiB behind it is a riddle: the page may have left its file, so that zeros were read for data, or
 * somebody forged the signal.
 */
function nothingLost(page: LargePage): RecoveryError {
  return new RecoveryError(
    "HM_SALVAGE_NOTHING_LOST",
    `The large page at ${hex(page.base)} reads without an error`,
    {
      expected: "at least one bad 4 KiB",
      remedy: "The mapping was left as it was, because what was read may not be what the guest wrote",
    },
  );
}

/** Opens what is mapped there: works for unlinked files and memfds, and fails if the mapping has changed meanwhile. */
function openBacking(
  pid: number,
  page: LargePage,
): { file: number; identity: { device: string; inode: string } } {
  const file = openSync(mapFilesPath(pid, page.mapping), "r");
  const { dev, ino } = fstatSync(file, { bigint: true });
  if (ino === page.inode) return { file, identity: { device: dev.toString(), inode: ino.toString() } };
  closeSync(file);
  throw new RecoveryError("HM_SALVAGE_OTHER_FILE", "The RAM mapping now shows another file", {
    present: `inode ${ino}`,
    expected: `inode ${page.inode}`,
  });
}
