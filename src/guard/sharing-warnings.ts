/** What the guard says beforehand about RAM that is not QEMU's alone: its recoveries will be refused. */

import type { WarningEvent } from "../ledger/events.js";
import type { Hazards } from "../recovery/hazards.js";

/** @param names other processes that map the RAM, as SharerWatch names them; at least one */
export function sharersWarning(names: readonly string[]): WarningEvent {
  return {
    event: "warning",
    code: "HM_RAM_SHARED_WITH_OTHERS",
    message:
      `Other processes map the VM's RAM: ${names.join(", ")}. Memory errors will not be recovered while they do: they would not ` +
      "see a replacement. Use devices inside QEMU instead of vhost-user, virtiofsd or ivshmem",
  };
}

/** @returns nothing if no device holds the RAM */
export function pinnedWarnings({ pinned }: Hazards): WarningEvent[] {
  if (pinned.length === 0) return [];
  return [
    {
      event: "warning",
      code: "HM_RAM_PINNED",
      message:
        `A device may hold the physical pages of the VM's RAM: ${pinned.join(", ")}. Memory errors will not be recovered while ` +
        "it does: it would go on using the old page. Use virtio devices instead of passed-through ones",
    },
  ];
}
