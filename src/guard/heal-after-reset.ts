/** After a guest reset: every replaced large page is put back, while the VM stands still. */

import { HugemendError, messageOf } from "../errors.js";
import { hex } from "../linux/address.js";
import { readMaps } from "../linux/procfs/maps.js";
import type { PauseLease } from "../qemu/pause-lease.js";
import { findOverlays, type PlacedOverlay } from "../recovery/classify.js";
import { healLargePage } from "../recovery/heal.js";
import type { GuardContext } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import { withVmPaused } from "./pause.js";

/** Never throws: what cannot be put back stays as it is, and is told. */
export async function healAfterReset(guard: GuardContext): Promise<void> {
  const { placed } = findOverlays(readMaps(guard.pid));
  // A reset forgives: what was left alone before may be tried again.
  guard.refused.clear();
  if (placed.length === 0) return;
  try {
    const sharers = guard.sharers.lookNow();
    if (sharers.length > 0) {
      throw new GuardError("HM_HEAL_SHARED", "Other processes map the VM's RAM and would see it change", {
        present: sharers.join(", "),
      });
    }
    await withVmPaused(guard, (lease) => healAll(guard, placed, lease));
  } catch (error) {
    tellFailure(guard, error);
  }
}

function healAll(guard: GuardContext, placed: readonly PlacedOverlay[], lease: PauseLease): void {
  // QEMU's main loop: while it is held, no `cont` of others lets the guest write between copy and swap.
  const held = guard.tracee.holdAny([guard.pid]);
  try {
    if (!lease.held()) {
      throw new GuardError("HM_PAUSE_LOST", "Somebody resumed the VM before its large pages were back", {
        remedy: "The next reset tries again",
      });
    }
    for (const one of placed) {
      using remote = held.borrow();
      try {
        const attributes = guard.attributesOf({
          ...one.mapping,
          device: one.overlay.device,
          inode: one.overlay.inode,
        });
        const outcome = healLargePage(remote, guard.processDescriptor, one, attributes);
        tellOutcome(guard, one, outcome);
      } catch (error) {
        tellFailure(guard, error);
      }
    }
  } finally {
    held.withhold();
  }
}

function tellOutcome(guard: GuardContext, { overlay }: PlacedOverlay, outcome: "healed" | "cleared"): void {
  const guest = guard.vm?.gpaOf(overlay.base) ?? null;
  const place = guest === null ? null : hex(guest);
  if (outcome === "healed") {
    guard.journal.tell({ event: "healed", gpa: place, pageSize: overlay.size, hva: hex(overlay.base) });
    return;
  }
  guard.journal.tell({
    event: "warning",
    code: "HM_HEAL_POOL_EMPTY",
    message:
      `No free large page of ${overlay.size} bytes for gpa ${place ?? "unknown"}: the small pages stay, their lost pages are usable ` +
      "again. Raise the pool; the next reset tries again",
  });
}

function tellFailure(guard: GuardContext, error: unknown): void {
  guard.journal.tell({
    event: "warning",
    code: error instanceof HugemendError ? error.code : "HM_HEAL_FAILED",
    message: `After the reset the replaced large page stays replaced: ${messageOf(error)}`,
  });
}
