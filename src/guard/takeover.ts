/** What a guard finds in a process that an earlier guard has worked on: everything needed is in the process itself. */

import { LinuxError } from "../linux/linux-error.js";
import type { Descriptor } from "../linux/procfs/fdinfo.js";
import { hasSignal, readStatus, readThreadStatus } from "../linux/procfs/status.js";
import { signal } from "../linux/signals.js";
import { type FoundOverlays, type PlacedOverlay, readOverlays } from "../recovery/classify.js";
import { readLeftovers } from "../recovery/leftovers.js";
import { TAG_SIZE } from "../recovery/spare-tag.js";
import { adriftError } from "../tracee/adrift.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { readSignalHandler } from "../tracee/signal-handler.js";
import { Tracee } from "../tracee/tracee.js";
import type { BusMask } from "./bus-masks.js";

/** See the head of the file. */
export interface Inventory {
  /** Overlays that stand in their large page's place. */
  readonly placed: readonly PlacedOverlay[];
  /** Unfinished ones of which a part is left. */
  readonly torn: readonly PlacedOverlay[];
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
 * @param meanwhile done again and again while a thread is waited for
 * @throws TraceeError, LinuxError; HM_TRACEE_STUCK if a thread that a dead guard had borrowed may still make a call
 */
export function takeInventory(tracee: Tracee, meanwhile: () => void = () => {}): Inventory {
  const { pid } = tracee;
  const found = readOverlays(pid);
  const caught = hasSignal(readStatus(pid).sigCgt, signal.SIGBUS);
  // In doubt it never blocked: a virtual CPU taken for a blocker would be worse than a mask that is not put back.
  const busMasks = new Map<number, BusMask>(
    tracee.threadIds.map((tid) => [tid, busMaskOf(pid, tid) ?? "open"]),
  );
  const left = found.stray.length > 0 || leftoversBeside(pid, found, anyWaits(found)).length > 0;
  if (!left && !caught)
    return { placed: found.placed, torn: found.torn, removed: 0, busHandler: undefined, busMasks };
  if (left && !tracee.allHome(meanwhile)) throw adriftError(pid);
  return tracee.withAny((remote) => {
    const busHandler = caught ? readSignalHandler(remote, signal.SIGBUS) : undefined;
    return { ...removeLeftovers(remote, found), busHandler, busMasks };
  });
}

/**
 * Removes what guards have made and nobody uses.
 *
 * @param remote a borrowed thread of the VM @param found what was seen there a moment ago
 * @throws HugemendError: some of it may be left
 */
export function removeLeftovers(
  remote: RemoteCalls,
  found: FoundOverlays,
): Pick<Inventory, "placed" | "torn" | "removed"> {
  const { pid } = remote;
  for (const { start, size, spare } of found.stray) {
    // SAFETY: a region that waits behind its tag. All threads were seen at home, so none is about to move it; one may have done so since it was
    // found, which is looked at before the tag goes: a region in place without one would be lost sight of.
    if (spare && size > BigInt(TAG_SIZE))
      remote.call("munmap", start + BigInt(TAG_SIZE), size - BigInt(TAG_SIZE));
  }
  const now = readOverlays(pid);
  for (const { start, size } of now.stray) {
    // SAFETY: the name says that a guard made it, and it is not where RAM is: nothing in QEMU knows of it.
    remote.call("munmap", start, size);
  }
  const leaked = leftoversBeside(pid, now, anyWaits(found));
  for (const { fd } of leaked) {
    // SAFETY: name or features say that a guard made it; placed overlays hold their own reference, markers outlive theirs.
    remote.call("close", fd);
  }
  return { placed: now.placed, torn: now.torn, removed: now.stray.length + leaked.length };
}

/** Comes back for a moment, to close what had to stay open when the VM was let go. If it cannot, the next guard does it. */
export function tidyUp(pid: number): void {
  try {
    const tracee = Tracee.attach(pid);
    try {
      takeInventory(tracee);
    } finally {
      tracee.detach();
    }
  } catch {
    // The VM has ended, or somebody else traces it by now.
  }
}

function leftoversBeside(pid: number, { placed, torn }: FoundOverlays, died: boolean): Descriptor[] {
  const inUse = [...placed, ...torn].flatMap(({ tag }) => tag?.says.descriptor ?? []);
  return readLeftovers(pid, new Set(inUse), died);
}

/** A guard that leaves, or uses a spare, leaves none that waits: one has died, perhaps right after it had opened a userfaultfd for it. */
function anyWaits({ stray }: FoundOverlays): boolean {
  return stray.some(({ spare, size }) => spare && size > BigInt(TAG_SIZE));
}

/**
 * What a thread does with SIGBUS right now. The kernel shows mask and handler as they are at one moment (fs/proc/array.c task_sig).
 *
 * @returns "open" as well when it has ended; undefined if nothing can be said: SIGBUS is open and its handler is gone, so a signal may have
 *   been forced on this very thread, which takes both away
 * @throws LinuxError
 */
export function busMaskOf(pid: number, tid: number): BusMask | undefined {
  try {
    const { sigBlk, sigCgt } = readThreadStatus(pid, tid);
    if (hasSignal(sigBlk, signal.SIGBUS)) return "blocked";
    return hasSignal(sigCgt, signal.SIGBUS) ? "open" : undefined;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "HM_PROC_GONE") return "open";
    throw error;
  }
}
