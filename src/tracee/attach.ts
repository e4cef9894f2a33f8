import { readFileSync } from "node:fs";
import { errno } from "../linux/errno.js";
import { readStatus } from "../linux/procfs/status.js";
import { readTasks } from "../linux/procfs/tasks.js";
import * as ptrace from "../linux/ptrace.js";
import { SystemCallError } from "../linux/system-call.js";
import { TraceeError } from "./tracee-error.js";

/**
 * Seizes every thread of a process, again and again until no new one shows up: a thread that is created while we look is
 * either listed later, or is created by a thread we trace already and comes along by itself.
 *
 * @param pid a running process
 * @param onSeized called with each thread id; also when a later one cannot be seized, so that the caller can let go of it
 * @throws TraceeError HM_TRACEE_PERMISSION, HM_TRACEE_ALREADY_TRACED, HM_TRACEE_GONE
 */
export function seizeAllThreads(pid: number, onSeized: (tid: number) => void): void {
  const seized = new Set<number>();
  for (let found = true; found; ) {
    found = false;
    for (const tid of readTasks(pid)) {
      if (seized.has(tid)) continue;
      if (!seizeOne(pid, tid)) continue;
      seized.add(tid);
      onSeized(tid);
      found = true;
    }
  }
}

/** @returns false if the thread has ended */
function seizeOne(pid: number, tid: number): boolean {
  try {
    ptrace.seize(tid);
    return true;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    const { tracer, ending } = lookAt(tid);
    if (tracer === process.pid) return true;
    // A thread that is just ending refuses, and is no reason to give up.
    if (tid !== pid && (tracer === undefined || ending)) return false;
    if (tracer === undefined || error.errno === errno.ESRCH) {
      throw new TraceeError("HM_TRACEE_GONE", `Process ${pid} has ended`, { cause: error });
    }
    if (tracer !== 0) {
      throw new TraceeError("HM_TRACEE_ALREADY_TRACED", `Process ${pid} is traced already`, {
        present: `traced by process ${tracer}${nameOf(tracer)}`,
        expected: "no tracer",
        remedy:
          "A process has one tracer at a time: end that one (another guard, gdb, strace, CRIU) and try again",
        cause: error,
      });
    }
    throw new TraceeError("HM_TRACEE_PERMISSION", `Process ${pid} must not be traced`, {
      present: `effective user ${process.geteuid?.() ?? "?"}`,
      expected: "root, or CAP_SYS_PTRACE in the process's user namespace",
      remedy: "Run as root; `hugemend doctor --pid` tells which rule forbids it",
      cause: error,
    });
  }
}

function lookAt(tid: number): { readonly tracer: number | undefined; readonly ending: boolean } {
  try {
    const { tracerPid, state } = readStatus(tid);
    return { tracer: tracerPid, ending: state === "Z" || state === "X" };
  } catch {
    return { tracer: undefined, ending: true };
  }
}

function nameOf(pid: number): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  } catch {
    return "";
  }
}
