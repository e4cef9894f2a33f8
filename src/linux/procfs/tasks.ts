/**
 * Threads of a process and processes of the machine, from directory entries (fs/proc/base.c).
 * Both are snapshots: threads start and end while the kernel lists them.
 */

import { decimalNames, listDirectory, procPath } from "./proc-file.js";

/** @param pid a process id @returns its thread ids, ascending @throws LinuxError HM_PROC_GONE when it has ended */
export function readTasks(pid: number): number[] {
  return decimalNames(listDirectory(procPath(pid, "task")));
}

/** @returns ids of all processes visible in this pid namespace, ascending; threads are not listed */
export function readProcesses(): number[] {
  return decimalNames(listDirectory("/proc"));
}
