/** What a guard finds in a process that an earlier guard has worked on: everything needed is in the process itself. */

import { LinuxError } from "../linux/linux-error.js";
import { type Mapping, readMaps } from "../linux/procfs/maps.js";
import { hasSignal, readStatus, readThreadStatus } from "../linux/procfs/status.js";
import { signal } from "../linux/signals.js";
import { findOverlays, type PlacedOverlay } from "../recovery/classify.js";
import { readLeftovers } from "../recovery/leftovers.js";
import { readSignalHandler } from "../tracee/signal-handler.js";
import type { Tracee } from "../tracee/tracee.js";
import type { BusMask } from "./bus-masks.js";

/** See the head of the file. */
export interface Inventory {
  /** Overlays that stand in their large page's place. */
  readonly placed: readonly PlacedOverlay[];
  /** What a dead guard had left beside, and is gone now: mappings and descriptors. */
  readonly removed: number;
  /** QEMU's SIGBUS handler; undefined if it has none. */
  readonly busHandler: Buffer | undefined;
  /** What each thread did with SIGBUS when the guard attached, by thread id. */
  readonly busMasks: ReadonlyMap<number, BusMask>;
}

/**
 * Looks around, and removes what a guard that died before its swap left behind.
 *
 * @throws TraceeError, LinuxError
 */
export function takeInventory(tracee: Tracee): Inventory {
  const { pid } = tracee;
  const { placed, stray } = findOverlays(readMaps(pid));
  const leaked = readLeftovers(pid);
  const caught = hasSignal(readStatus(pid).sigCgt, signal.SIGBUS);
  const busMasks = new Map<number, BusMask>(
    tracee.threadIds.map((tid) => [tid, blocksBus(pid, tid) ? "blocked" : "open"]),
  );
  if (stray.length === 0 && leaked.length === 0 && !caught)
    return { placed, removed: 0, busHandler: undefined, busMasks };
  const held = tracee.holdAny();
  try {
    using remote = held.borrow();
    const busHandler = caught ? readSignalHandler(remote, signal.SIGBUS) : undefined;
    for (const mapping of stray) {
      // SAFETY: the name says that a guard made it, and it is not where RAM is: nothing in QEMU knows of it.
      remote.call("munmap", mapping.start, sizeOf(mapping));
    }
    for (const { fd } of leaked) {
      // SAFETY: name or features say that a guard made it; placed overlays hold their own reference, markers outlive theirs.
      remote.call("close", fd);
    }
    return { placed, removed: stray.length + leaked.length, busHandler, busMasks };
  } finally {
    held.withhold();
  }
}

/** @returns whether a thread has SIGBUS blocked right now; false when it has ended @throws LinuxError */
export function blocksBus(pid: number, tid: number): boolean {
  try {
    return hasSignal(readThreadStatus(pid, tid).sigBlk, signal.SIGBUS);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "HM_PROC_GONE") return false;
    throw error;
  }
}

function sizeOf(mapping: Mapping): bigint {
  return mapping.end - mapping.start;
}
