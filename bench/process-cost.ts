/** What a running process has used, from /proc. */

import { readdirSync, readFileSync } from "node:fs";

/** Since it started. */
export interface Cost {
  /** Times any of its threads went to sleep by itself and was woken. */
  readonly wakeUps: number;
  /** Nanoseconds its threads have run (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat). */
  readonly cpu: number;
}

/** @param pid of a process of ours */
export function costOf(pid: number): Cost {
  let wakeUps = 0;
  let cpu = 0;
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1");
    wakeUps += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
    cpu += Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "latin1").split(" ")[0]);
  }
  return { wakeUps, cpu };
}

/** @returns its resident memory, in bytes */
export function residentBytes(pid: number): number {
  return kilobytes(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB$/m);
}

/** @returns memory that is nobody else's, in bytes: of programs and libraries the kernel may map more pages or fewer at each touch */
export function anonymousBytes(pid: number): number {
  return kilobytes(`/proc/${pid}/smaps_rollup`, /^Anonymous:\s+(\d+) kB$/m);
}

/** @returns memory of its page tables, in bytes */
export function pageTableBytes(pid: number): number {
  return kilobytes(`/proc/${pid}/status`, /^VmPTE:\s+(\d+) kB$/m);
}

/** @returns how many descriptors it has open */
export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** @returns its share of resident memory: pages that n processes have count 1/n each, in bytes */
export function proportionalBytes(pid: number): number {
  return kilobytes(`/proc/${pid}/smaps_rollup`, /^Pss:\s+(\d+) kB$/m);
}

function kilobytes(path: string, pattern: RegExp): number {
  return Number(pattern.exec(readFileSync(path, "latin1"))?.[1]) * 1024;
}
