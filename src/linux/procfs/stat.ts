/**
 * /proc/PID/stat (fs/proc/array.c, do_task_stat(); proc_pid_stat(5)).
 *
 * A pid together with its start time names one process for the life of the machine: pids are used again.
 */

import { formatError, procPath, readText } from "./proc-file.js";

/** The fields Hugemend needs. */
export interface ProcessStat {
  readonly pid: number;
  /** Command name as it is: it may contain blanks, parentheses and newlines. */
  readonly comm: string;
  readonly state: string;
  readonly ppid: number;
  /** Start time in clock ticks (USER_HZ, 100 a second) since boot: field 22. */
  readonly startTime: bigint;
}

const FORM = "PID (COMM) STATE PPID … STARTTIME …";

/**
 * @param text the whole of a stat file
 * @returns its fields; the name ends at the *last* closing parenthesis, for none can follow it
 * @throws LinuxError HM_PROC_FORMAT
 */
export function parseStat(text: string): ProcessStat {
  const open = text.indexOf(" (");
  const close = text.lastIndexOf(") ");
  const pid = text.slice(0, Math.max(open, 0));
  // After the name come fields 3, 4, …: state, ppid, …; start time is field 22.
  const fields = text
    .slice(close + 2)
    .trimEnd()
    .split(" ");
  const [state, ppid] = fields;
  const startTime = fields[19];
  if (
    open < 1 ||
    close < open + 2 ||
    !/^\d{1,7}$/.test(pid) ||
    state === undefined ||
    !/^[A-Za-z]$/.test(state) ||
    ppid === undefined ||
    !/^\d{1,7}$/.test(ppid) ||
    startTime === undefined ||
    !/^\d{1,20}$/.test(startTime)
  ) {
    throw formatError("/proc/PID/stat", FORM, text);
  }
  return {
    pid: Number(pid),
    comm: text.slice(open + 2, close),
    state,
    ppid: Number(ppid),
    startTime: BigInt(startTime),
  };
}

/** @param pid a process or thread id @throws LinuxError HM_PROC_… as in proc-file.ts */
export function readStat(pid: number): ProcessStat {
  return parseStat(readText(procPath(pid, "stat")));
}

/** PF_KTHREAD, PF_USER_WORKER (vhost, KVM's own workers), PF_IO_WORKER (io_uring): include/linux/sched.h. */
const KERNEL_CODE = 0x00200000 | 0x00004000 | 0x00000010;

/**
 * Some threads of a process run kernel code only, and never return to user space: they have no registers of their own.
 *
 * @param pid the process
 * @param tid one of its threads
 * @returns whether it is such a thread, by its flags (field 9 of proc_pid_stat(5))
 * @throws LinuxError HM_PROC_… as in proc-file.ts
 */
export function runsKernelCode(pid: number, tid: number): boolean {
  return (threadFlags(pid, tid) & KERNEL_CODE) !== 0;
}

/** PF_MCE_PROCESS: the thread has chosen; PF_MCE_EARLY: it has chosen "early" (include/linux/sched.h). */
const MCE_CHOSEN = 0x80;
const MCE_EARLY = 0x0800_0000;

/**
 * @param pid the process
 * @param tid one of its threads
 * @returns whether it wants to learn of memory errors only when it touches them (PR_MCE_KILL_LATE, prctl(2)), by its own choice
 * @throws LinuxError HM_PROC_… as in proc-file.ts
 */
export function wantsErrorsLate(pid: number, tid: number): boolean {
  return (threadFlags(pid, tid) & (MCE_CHOSEN | MCE_EARLY)) === MCE_CHOSEN;
}

function threadFlags(pid: number, tid: number): number {
  const text = readText(procPath(pid, `task/${tid}/stat`));
  const flags = text.slice(text.lastIndexOf(") ") + 2).split(" ")[6];
  if (flags === undefined || !/^\d{1,10}$/.test(flags)) throw formatError("/proc/PID/stat", FORM, text);
  return Number(flags);
}
