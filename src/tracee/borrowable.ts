import { runsKernelCode } from "../linux/procfs/stat.js";
import { readThreadStatus } from "../linux/procfs/status.js";

/**
 * Puts threads into the order in which they are to be asked for a stop: those that sleep uninterruptibly (storage, vfork) come
 * last, because they stop when they wake, whoever asks.
 *
 * @param pid the process
 * @param threads thread ids, the best first; may come more than once
 * @returns those that can be borrowed, each once: not the kernel's own, such as I/O workers
 */
export function borrowable(pid: number, threads: readonly number[]): number[] {
  const all = [...new Set(threads)].filter((tid) => !cannotBeBorrowed(pid, tid));
  const sleeping = new Set(all.filter((tid) => sleepsUninterruptibly(pid, tid)));
  return [...all.filter((tid) => !sleeping.has(tid)), ...sleeping];
}

function sleepsUninterruptibly(pid: number, tid: number): boolean {
  try {
    return readThreadStatus(pid, tid).state === "D";
  } catch {
    return true;
  }
}

function cannotBeBorrowed(pid: number, tid: number): boolean {
  try {
    return runsKernelCode(pid, tid);
  } catch {
    return true;
  }
}
