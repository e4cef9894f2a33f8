/** Stopping one of several threads, whichever comes first, while all others are served. */

import * as ptrace from "../linux/ptrace.js";
import { signal } from "../linux/signals.js";
import { pollAnyThread, type ThreadEvent } from "../linux/wait.js";
import { ptraceEvent, type WaitStatus } from "../linux/wait-status.js";
import type { HeldThread } from "./held-thread.js";
import { isGone } from "./remote-calls.js";
import { pause } from "./stop-wait.js";
import { TraceeError } from "./tracee-error.js";

/** A thread stops within microseconds, under emulation within milliseconds. One that does not gets company: another is asked too. */
const ASK_NEXT_MS = 5;

/** What a traced thread does, as far as its tracer knows. */
export type ThreadState = "running" | "held" | "group-stop";

/** What of a tracee is needed for it. */
export interface Stops {
  readonly pid: number;
  /** By thread id. */
  readonly threads: Map<number, ThreadState>;
  /** Deals with what is no stop that was asked for. @returns whether the process is still there */
  readonly serve: (event: ThreadEvent | "none-left") => boolean;
  /** A thread has stopped, and belongs to whoever asked. */
  readonly hold: (tid: number) => HeldThread;
}

/**
 * A thread that was asked and comes later is let go in the moment it is seen.
 *
 * @param candidates thread ids, the best first; they are used up
 * @param limitMs how long any of them may take
 * @param meanwhile done again and again: what they may wait for
 * @throws TraceeError HM_TRACEE_STUCK if none stops in time, HM_TRACEE_GONE
 */
export function holdFirst(
  stops: Stops,
  candidates: number[],
  limitMs: number,
  meanwhile: () => void = () => {},
): HeldThread {
  const asked = new Set<number>();
  const start = performance.now();
  let askAt = start;
  for (;;) {
    const now = performance.now();
    if (now >= askAt) {
      const tid = candidates.shift();
      if (tid !== undefined && ask(stops, tid)) asked.add(tid);
      askAt = now + ASK_NEXT_MS;
    }
    const held = serveUntilStopped(stops, asked);
    if (held !== undefined) return held;
    const waiting = [...asked].some((tid) => stops.threads.get(tid) === "running");
    if (!waiting) askAt = 0;
    const given = performance.now() - start;
    if ((!waiting && candidates.length === 0) || given > limitMs) throw stuck(stops, asked.size, given);
    meanwhile();
    if (waiting) pause(given);
  }
}

/** @returns whether the thread is there to be waited for */
function ask({ threads }: Stops, tid: number): boolean {
  // It may have stopped for something else since the candidates were listed.
  if (threads.get(tid) !== "running") return false;
  try {
    // SAFETY: a traced thread stops, and is let go by whoever sees the stop; if we die the kernel lets it run on.
    ptrace.interrupt(tid);
    return true;
  } catch (error) {
    if (!isGone(error)) throw error;
    threads.delete(tid);
    return false;
  }
}

/** Deals with every event there is, up to the stop that was asked for. */
function serveUntilStopped({ pid, serve, hold }: Stops, asked: ReadonlySet<number>): HeldThread | undefined {
  for (;;) {
    const event = pollAnyThread();
    if (event === "nothing-yet") return undefined;
    if (event !== "none-left" && asked.has(event.tid) && isInterruptStop(event.status))
      return hold(event.tid);
    if (!serve(event)) throw new TraceeError("HM_TRACEE_GONE", `Process ${pid} has ended`);
  }
}

/** The stop that PTRACE_INTERRUPT leads to; with another signal it is a group-stop (ptrace(2), under PTRACE_SEIZE). */
function isInterruptStop(status: WaitStatus): boolean {
  return status.kind === "event" && status.event === ptraceEvent.STOP && status.signal === signal.SIGTRAP;
}

function stuck({ pid, threads }: Stops, asked: number, waitedMs: number): TraceeError {
  return new TraceeError("HM_TRACEE_STUCK", `No thread of process ${pid} can be stopped`, {
    present: `${asked} of ${threads.size} threads asked, none stopped within ${waitedMs.toFixed(0)} ms`,
    expected: "a stop within microseconds",
    remedy: "They may wait for storage, or the process is stopped; all were left to themselves",
  });
}
