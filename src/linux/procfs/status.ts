/**
 * /proc/PID/status and /proc/PID/task/TID/status (fs/proc/array.c, proc_pid_status()).
 */

import { checkedPid, formatError, readText } from "./proc-file.js";

/** The fields Hugemend needs. Ids are those of the pid namespace of the /proc that was read. */
export interface ProcessStatus {
  /** Command name of the thread, at most 15 bytes for user threads. */
  readonly name: string;
  /** State letter: `R`, `S`, `D`, `T` stopped, `t` tracing stop, `Z` zombie, … */
  readonly state: string;
  readonly tgid: number;
  readonly pid: number;
  readonly ppid: number;
  /** Thread id of the tracer, 0 for none or for one outside this pid namespace. */
  readonly tracerPid: number;
  readonly uid: {
    readonly real: number;
    readonly effective: number;
    readonly saved: number;
    readonly fs: number;
  };
  readonly threads: number;
  /** Signal masks: bit N-1 stands for signal N. */
  readonly sigBlk: bigint;
  readonly sigIgn: bigint;
  readonly sigCgt: bigint;
  /** Effective capabilities: bit N stands for capability N of include/uapi/linux/capability.h. */
  readonly capEff: bigint;
  /** Pid in each nested namespace, outermost visible first; undefined on a kernel without pid namespaces. */
  readonly nsPid: readonly number[] | undefined;
  /** 0 none, 1 strict, 2 filter; undefined when the kernel has no seccomp. */
  readonly seccomp: number | undefined;
  /** Bytes locked in memory (VmLck); undefined for a kernel thread. */
  readonly lockedBytes: number | undefined;
}

const FILE = "/proc/PID/status";

/** The kernel escapes newline and backslash in the name (proc_task_name(), seq_escape_str()). */
function unescapeName(name: string): string {
  return name.replace(/\\([n\\])/g, (_all, letter: string) => (letter === "n" ? "\n" : "\\"));
}

function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon);
    // The kernel writes one tab after the colon; the name of a process may itself start with a blank.
    const value = line.charAt(colon + 1) === "\t" ? line.slice(colon + 2) : line.slice(colon + 1);
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

function numberIn(fields: ReadonlyMap<string, string>, name: string): number {
  const value = fields.get(name);
  if (value === undefined || !/^\s*\d{1,10}$/.test(value)) {
    throw formatError(FILE, `${name}: a number`, value ?? `no line ${name}`);
  }
  return Number(value);
}

function maskIn(fields: ReadonlyMap<string, string>, name: string): bigint {
  const value = fields.get(name);
  if (value === undefined || !/^[0-9a-f]{1,16}$/.test(value)) {
    throw formatError(FILE, `${name}: 16 hexadecimal digits`, value ?? `no line ${name}`);
  }
  return BigInt(`0x${value}`);
}

function numbers(value: string, name: string): number[] {
  return value
    .trim()
    .split(/\s+/)
    .map((part) => {
      if (!/^\d{1,10}$/.test(part)) throw formatError(FILE, `${name}: numbers`, value);
      return Number(part);
    });
}

function uidIn(fields: ReadonlyMap<string, string>): ProcessStatus["uid"] {
  const value = fields.get("Uid") ?? "";
  const [real, effective, saved, fs, ...more] = numbers(value, "Uid");
  if (
    real === undefined ||
    effective === undefined ||
    saved === undefined ||
    fs === undefined ||
    more.length > 0
  ) {
    throw formatError(FILE, "Uid: four numbers", value);
  }
  return { real, effective, saved, fs };
}

function lockedIn(fields: ReadonlyMap<string, string>): number | undefined {
  const value = fields.get("VmLck");
  if (value === undefined) return undefined;
  const digits = /^\s*(\d{1,12}) kB$/.exec(value)?.[1];
  if (digits === undefined) throw formatError(FILE, "VmLck: N kB", value);
  return Number(digits) * 1024;
}

/**
 * @param text the whole of a status file
 * @returns its fields
 * @throws LinuxError HM_PROC_FORMAT when a field is missing or malformed
 */
export function parseStatus(text: string): ProcessStatus {
  const fields = fieldsOf(text);
  const name = fields.get("Name");
  const state = fields.get("State");
  if (name === undefined || state === undefined || state === "") {
    throw formatError(FILE, "lines Name and State", text);
  }
  const nsPid = fields.get("NSpid");
  return {
    name: unescapeName(name),
    state: state.charAt(0),
    tgid: numberIn(fields, "Tgid"),
    pid: numberIn(fields, "Pid"),
    ppid: numberIn(fields, "PPid"),
    tracerPid: numberIn(fields, "TracerPid"),
    uid: uidIn(fields),
    threads: numberIn(fields, "Threads"),
    sigBlk: maskIn(fields, "SigBlk"),
    sigIgn: maskIn(fields, "SigIgn"),
    sigCgt: maskIn(fields, "SigCgt"),
    capEff: maskIn(fields, "CapEff"),
    nsPid: nsPid === undefined ? undefined : numbers(nsPid, "NSpid"),
    seccomp: fields.has("Seccomp") ? numberIn(fields, "Seccomp") : undefined,
    lockedBytes: lockedIn(fields),
  };
}

/** @param pid a process or thread id @returns its status @throws LinuxError HM_PROC_… as in proc-file.ts */
export function readStatus(pid: number): ProcessStatus {
  return parseStatus(readText(`/proc/${checkedPid(pid)}/status`));
}

/** @param pid a process id @param tid one of its threads @throws LinuxError HM_PROC_… as in proc-file.ts */
export function readThreadStatus(pid: number, tid: number): ProcessStatus {
  return parseStatus(readText(`/proc/${checkedPid(pid)}/task/${checkedPid(tid)}/status`));
}

/** @param mask SigBlk, SigIgn or SigCgt @param signal 1 to 64 @returns whether the signal is in the mask */
export function hasSignal(mask: bigint, signal: number): boolean {
  return ((mask >> BigInt(signal - 1)) & 1n) === 1n;
}

/** @param status a process @param capability number, for example 19 for CAP_SYS_PTRACE */
export function hasCapability(status: ProcessStatus, capability: number): boolean {
  return ((status.capEff >> BigInt(capability)) & 1n) === 1n;
}

/**
 * Only the caught signals of one thread: on the way of every recovery, where the whole status would take too long.
 *
 * @returns the mask, bit N-1 stands for signal N
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_FORMAT
 */
export function readCaughtSignals(pid: number, tid: number): bigint {
  const text = readText(`/proc/${checkedPid(pid)}/task/${checkedPid(tid)}/status`);
  const caught = /^SigCgt:\t([0-9a-f]{16})$/m.exec(text)?.[1];
  if (caught === undefined) throw formatError(FILE, "SigCgt: 16 hexadecimal digits", "no such line");
  return BigInt(`0x${caught}`);
}
