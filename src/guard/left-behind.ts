import { readOverlays } from "../recovery/classify.js";
import { lostNow } from "../recovery/lost-now.js";
import type { GuardContext } from "./guard-context.js";

/**
 * Says what nobody will see to when the guard has let go: at a reset of the guest lost pages become usable only if a guard is there.
 * For a VM that is no longer traced: looking at 1 GiB takes a while.
 */
export function tellLeftBehind({ pid, journal }: Pick<GuardContext, "pid" | "journal">): void {
  const count = countLost(pid);
  if (count === 0) return;
  journal.tell({
    event: "warning",
    code: "HM_LOST_LEFT_BEHIND",
    message:
      `${count} lost ${count === 1 ? "page of 4 KiB stays" : "pages of 4 KiB stay"} behind. A guard must run when the guest is next reset: otherwise ` +
      "the guest meets them again and may die of them, where QEMU alone would have renewed its memory. Start a guard before that",
  });
}

function countLost(pid: number): number {
  try {
    const overlays = new Map(readOverlays(pid).placed.map(({ overlay }) => [overlay.base, overlay]));
    return [...overlays.values()].reduce((sum, { base, size }) => sum + lostNow(pid, base, size).length, 0);
  } catch {
    // The VM has ended.
    return 0;
  }
}
