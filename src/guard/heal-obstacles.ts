/** What forbids to move RAM although the VM stands: the same that forbids a recovery (recovery/plan.ts). */

import type { PauseLease } from "../qemu/pause-lease.js";
import type { PlacedOverlay } from "../recovery/classify.js";
import { readHazards } from "../recovery/hazards.js";
import type { GuardContext } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import { isWatched } from "./plan-facts.js";

/** @throws GuardError HM_HEAL_NO_QMP, HM_HEAL_SHARED */
export function refuseBeforePause(guard: GuardContext): void {
  if (guard.vm === undefined) {
    throw new GuardError(
      "HM_HEAL_NO_QMP",
      "A large page is put back while the VM stands, and there is no QMP socket",
      {
        remedy: "Give --qmp",
      },
    );
  }
  const sharers = guard.sharers.lookNow();
  if (sharers.length === 0) return;
  throw new GuardError("HM_HEAL_SHARED", "Other processes map the VM's RAM and would see it change", {
    present: sharers.join(", "),
  });
}

/** @throws GuardError HM_HEAL_PINNED, HM_HEAL_NOT_DRAINED, HM_HEAL_USERFAULTFD; LinuxError if it cannot be known */
export function refuseWhilePaused(
  guard: GuardContext,
  lease: PauseLease,
  placed: readonly PlacedOverlay[],
): void {
  const { pinned, userfaultfds } = readHazards(guard.pid);
  if (pinned.length > 0) {
    throw new GuardError("HM_HEAL_PINNED", "A device may hold the small pages, and would go on using them", {
      present: pinned.join(", "),
      remedy: "Take it out of the VM, then reset again",
    });
  }
  if (!lease.drained) {
    throw new GuardError("HM_HEAL_NOT_DRAINED", "The VM stands still, but its disk I/O may not be finished", {
      present: lease.status,
      expected: "paused",
    });
  }
  const ours = new Set([...guard.spares.all.map(({ theirs }) => theirs), ...guard.fills.descriptors]);
  if (userfaultfds.every((fd) => ours.has(fd))) return;
  if (!placed.some(({ mapping }) => isWatched(guard.pid, mapping.start))) return;
  throw new GuardError(
    "HM_HEAL_USERFAULTFD",
    "A userfaultfd watches the small pages, and would lose track of them",
    {
      remedy: "Wait for the end of the migration or snapshot, then reset again",
    },
  );
}
