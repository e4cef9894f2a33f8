/** What the guard says beforehand about RAM that is not QEMU's alone: its recoveries will be refused. */

import type { WarningEvent } from "../ledger/events.js";
import { readOverlays } from "../recovery/classify.js";
import type { Hazards } from "../recovery/hazards.js";
import type { Journal } from "./journal.js";

/**
 * @param pid the VM
 * @param names other processes that map the RAM, as SharerWatch names them; at least one
 */
export function tellSharers(journal: Pick<Journal, "tell">, pid: number, names: readonly string[]): void {
  journal.tell(sharersWarning(names));
  const replaced = countReplaced(pid);
  if (replaced > 0) journal.tell(staleFileWarning(names, replaced));
}

function countReplaced(pid: number): number {
  try {
    return new Set(readOverlays(pid).placed.map(({ overlay }) => overlay.base)).size;
  } catch {
    // The VM is ending.
    return 0;
  }
}

function sharersWarning(names: readonly string[]): WarningEvent {
  return {
    event: "warning",
    code: "HM_RAM_SHARED_WITH_OTHERS",
    message:
      `Other processes map the VM's RAM: ${names.join(", ")}. Memory errors will not be recovered while they do: they would not ` +
      "see a replacement. Use devices inside QEMU instead of vhost-user, virtiofsd or ivshmem",
  };
}

function staleFileWarning(names: readonly string[], replaced: number): WarningEvent {
  return {
    event: "warning",
    code: "HM_RAM_FILE_STALE",
    message:
      `${replaced} large ${replaced === 1 ? "page" : "pages"} of the VM's RAM file ${replaced === 1 ? "is" : "are"} replaced, and other processes ` +
      `map that file: ${names.join(", ")}. There they see zeros, or bytes as old as the memory error, and not what the guest has. End ` +
      "them; a guest reset without them puts the large pages back",
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
