/** What the kernel says about a victim, and what must hold whenever no guard is there. */

import assert from "node:assert/strict";
import { hva } from "../../src/linux/address.js";
import { readDescriptors } from "../../src/linux/procfs/fdinfo.js";
import { readSmaps, readSmapsEntry } from "../../src/linux/procfs/smaps.js";
import { type ProcessStatus, readStatus, readThreadStatus } from "../../src/linux/procfs/status.js";
import { readTasks } from "../../src/linux/procfs/tasks.js";
import { readOverlays } from "../../src/recovery/classify.js";
import { waitUntil } from "./wait-until.js";

/** Status of every thread; one that ends meanwhile is left out. */
export function threadStatuses(pid: number): ProcessStatus[] {
  return readTasks(pid).flatMap((tid) => {
    try {
      return [readThreadStatus(pid, tid)];
    } catch {
      return [];
    }
  });
}

/** Waits until no thread is traced: a tracer's death is dealt with by the kernel a moment after it. */
export async function untilUntraced(pid: number): Promise<void> {
  await waitUntil(`process ${pid} is traced by nobody`, () =>
    threadStatuses(pid).every(({ tracerPid }) => tracerPid === 0),
  );
}

/** @throws AssertionError unless the process runs, untraced, with nothing of ours in it but overlays in their place */
export async function assertUntouched(pid: number): Promise<void> {
  await untilUntraced(pid);
  const { state } = readStatus(pid);
  assert.ok("RSD".includes(state), `process ${pid} is in state ${state}`);
  assertNothingLeft(pid);
}

/**
 * @param spares that a living guard has ready
 * @throws AssertionError if mappings or descriptors of a guard are left that are not in use
 */
export function assertNothingLeft(pid: number, spares = 0): void {
  const { stray } = readOverlays(pid);
  assert.deepEqual(
    stray.map(({ spare }) => spare),
    Array.from({ length: spares }, () => true),
  );
  const left = readDescriptors(pid).filter(
    ({ link }) => link.includes("hugemend:") || link.includes("userfaultfd"),
  );
  assert.deepEqual(
    left.map(({ link }) => link),
    [],
  );
}

/**
 * The same beside a guard that lays out its next spares: while it does, one may be missing, and a userfaultfd is open for a moment.
 *
 * @throws Error if something else stays
 */
export async function untilNothingLeft(pid: number, spares: number): Promise<void> {
  await waitUntil(`nothing is left in process ${pid} but ${spares} spares`, () => {
    try {
      assertNothingLeft(pid, spares);
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) return false;
      throw error;
    }
  });
}

/** Number of overlays in their large page's place. A large page may show as several mappings: each is counted once. */
export function overlaysIn(pid: number): number {
  return new Set(readOverlays(pid).placed.map(({ overlay }) => overlay.base)).size;
}

/** Bytes of a range that the kernel maps as transparent huge pages, by its own count. The range has no mappings of others in it. */
export function joinedBytes(pid: number, start: bigint, size: number): number {
  return readSmaps(pid)
    .filter(({ mapping }) => mapping.start < start + BigInt(size) && mapping.end > start)
    .reduce((sum, { bytes }) => sum + (bytes.get("AnonHugePages") ?? 0), 0);
}

/** VmFlags of the mapping at an address. */
export function vmFlags(pid: number, address: bigint): ReadonlySet<string> {
  const entry = readSmapsEntry(pid, hva(address));
  assert.ok(entry, "a mapping");
  return entry.vmFlags;
}

/** Blocked signals of each thread. */
export function signalMasks(pid: number): ReadonlyMap<number, bigint> {
  return new Map(threadStatuses(pid).map((thread) => [thread.pid, thread.sigBlk]));
}

/**
 * Waits until each thread was seen with its own mask. A thread that runs its signal handler, is being created, or has not yet
 * been scheduled after its tracer's death has another one for a moment; one that stays deaf is never seen right.
 *
 * @param expected the mask of a thread
 * @throws Error if one does not get its mask back
 */
export async function untilMasksAre(pid: number, expected: (tid: number) => bigint): Promise<void> {
  const right = new Set<number>();
  await waitUntil(`the signal masks of process ${pid} are its own`, () => {
    const threads = threadStatuses(pid);
    for (const { pid: tid, sigBlk } of threads) if (sigBlk === expected(tid)) right.add(tid);
    return threads.every(({ pid: tid }) => right.has(tid));
  });
}
