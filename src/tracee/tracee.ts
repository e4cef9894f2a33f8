/**
 * A traced process: all its threads, and what they stop for.
 *
 * Threads are seized, not stopped. A signal that is none of ours is passed on in the moment it is seen; a SIGBUS is handed to
 * the listener, which holds the thread until it decides. All of this runs on Node's main thread, which owns the trace; the
 * kernel's SIGCHLD wakes it. If this process dies, the kernel lets every thread run on (no PTRACE_O_EXITKILL).
 */

import { existsSync } from "node:fs";
import { errno } from "../linux/errno.js";
import { runsKernelCode } from "../linux/procfs/stat.js";
import { readTasks } from "../linux/procfs/tasks.js";
import * as ptrace from "../linux/ptrace.js";
import { type BusError, decodeBusError } from "../linux/signal-info.js";
import { signal } from "../linux/signals.js";
import { SystemCallError } from "../linux/system-call.js";
import { pollAnyThread, type ThreadEvent, yieldProcessor } from "../linux/wait.js";
import { ptraceEvent } from "../linux/wait-status.js";
import { seizeAllThreads } from "./attach.js";
import { findGadgets, type Gadgets } from "./gadgets.js";
import { HeldThread } from "./held-thread.js";
import { isGone } from "./remote-calls.js";
import { nextStop } from "./stop-wait.js";
import { TraceeError } from "./tracee-error.js";

/** How a tracee may go away. */
export type GoneReason = "exited" | "exec";

/** Who wants to know what a tracee does. Called from the event loop, never in the middle of a remote call. */
export interface TraceeListener {
  /** A thread stopped for SIGBUS. It stays stopped until `held.deliver()` or `held.withhold()`. */
  busError(held: HeldThread, error: BusError): void;
  /** The process ended or became another program. Nothing is traced any more. */
  gone(reason: GoneReason): void;
}

/** SIGCHLD wakes us; should one ever get lost, this is how long a thread could stand unnoticed. */
const SAFETY_POLL_MS = 250;

type ThreadState = "running" | "held" | "group-stop";

/** See the head of the file. */
export class Tracee {
  readonly pid: number;
  readonly gadgets: Gadgets;
  readonly #threads = new Map<number, ThreadState>();
  #listener: TraceeListener | undefined;
  #timer: NodeJS.Timeout | undefined;
  #gone = false;
  readonly #drain = (): void => this.#drainEvents();

  private constructor(pid: number, gadgets: Gadgets) {
    this.pid = pid;
    this.gadgets = gadgets;
  }

  /**
   * Seizes all threads of a process.
   *
   * @param pid a running process
   * @throws TraceeError HM_TRACEE_PERMISSION, HM_TRACEE_ALREADY_TRACED, HM_TRACEE_GONE, HM_TRACEE_NO_GADGET: nothing is traced
   */
  static attach(pid: number): Tracee {
    const tracee = new Tracee(pid, findGadgets(pid));
    try {
      seizeAllThreads(pid, (tid) => tracee.#threads.set(tid, "running"));
    } catch (error) {
      // Nobody would resume a seized thread that stops for a signal.
      tracee.detach();
      throw error;
    }
    return tracee;
  }

  /** Thread ids known now. */
  get threadIds(): readonly number[] {
    return [...this.#threads.keys()];
  }

  /** Begins to watch. Until then threads that stop wait. */
  start(listener: TraceeListener): void {
    this.#listener = listener;
    process.on("SIGCHLD", this.#drain);
    this.#timer = setInterval(this.#drain, SAFETY_POLL_MS);
    this.#drainEvents();
  }

  /**
   * Stops a running thread.
   *
   * @param preferred thread ids to try first
   * @returns the thread, held; it goes on with `withhold()`
   * @throws TraceeError HM_TRACEE_STUCK if none stops in time, HM_TRACEE_GONE
   */
  holdAny(preferred: readonly number[] = []): HeldThread {
    let failure: unknown;
    for (const tid of [...preferred, ...this.#threads.keys()]) {
      if (this.#threads.get(tid) !== "running" || this.#cannotBeBorrowed(tid)) continue;
      try {
        const held = this.#interrupt(tid);
        if (held !== undefined) return held;
      } catch (error) {
        failure = error;
      }
    }
    throw new TraceeError("HM_TRACEE_STUCK", `No thread of process ${this.pid} can be stopped`, {
      cause: failure,
    });
  }

  #cannotBeBorrowed(tid: number): boolean {
    try {
      return runsKernelCode(this.pid, tid);
    } catch {
      return true;
    }
  }

  #interrupt(tid: number): HeldThread | undefined {
    try {
      ptrace.interrupt(tid);
      for (;;) {
        const event = nextStop(tid);
        const { status } = event;
        if (
          status.kind === "event" &&
          status.event === ptraceEvent.STOP &&
          status.signal === signal.SIGTRAP
        ) {
          return this.#hold(tid, 0);
        }
        this.#dispatch(event);
        // A SIGBUS or a group-stop came first; the interrupt will be seen, and passed over, later.
        if (this.#threads.get(tid) !== "running") return undefined;
      }
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#threads.delete(tid);
      return undefined;
    }
  }

  #hold(tid: number, pendingSignal: number): HeldThread {
    this.#threads.set(tid, "held");
    return new HeldThread(
      this.pid,
      tid,
      this.gadgets,
      (deliver) => {
        this.#threads.set(tid, "running");
        this.#resume(tid, deliver);
      },
      pendingSignal,
    );
  }

  #drainEvents(): void {
    while (!this.#gone) {
      const event = pollAnyThread();
      if (event === "nothing-yet") return;
      if (event === "none-left") return this.#vanish("exited");
      this.#dispatch(event);
    }
  }

  #dispatch(event: ThreadEvent): void {
    const { tid, status } = event;
    if (status.kind === "exited" || status.kind === "killed") {
      this.#threads.delete(tid);
      if (this.#threads.size === 0) this.#vanish("exited");
      return;
    }
    if (!this.#threads.has(tid)) this.#threads.set(tid, "running");
    if (status.kind === "signal") this.#signalStop(tid, status.signal);
    else if (status.kind === "event") this.#eventStop(tid, status.event, status.signal);
    else if (status.kind === "system-call") this.#resume(tid, 0);
  }

  #signalStop(tid: number, number: number): void {
    if (number !== signal.SIGBUS || this.#listener === undefined) return this.#resume(tid, number);
    let error: BusError;
    try {
      error = decodeBusError(ptrace.signalInfo(tid));
    } catch {
      return this.#resume(tid, number);
    }
    this.#listener.busError(this.#hold(tid, number), error);
  }

  #eventStop(tid: number, event: number, number: number): void {
    if (event === ptraceEvent.EXEC) {
      // Every other thread is gone and the address space is a new one: not what we were asked to guard.
      this.#detach(tid, 0);
      return this.#vanish("exec");
    }
    if (event === ptraceEvent.STOP && number !== signal.SIGTRAP) {
      this.#threads.set(tid, "group-stop");
      return this.#ignoreGone(() => ptrace.listen(tid));
    }
    if (event === ptraceEvent.STOP && !existsSync(`/proc/${this.pid}/task/${tid}`)) {
      // A clone(2) that is no thread of this process came along: let it go.
      this.#threads.delete(tid);
      return this.#detach(tid, 0);
    }
    this.#threads.set(tid, "running");
    this.#resume(tid, 0);
  }

  #resume(tid: number, deliver: number): void {
    this.#ignoreGone(() => ptrace.resume(tid, deliver));
  }

  #detach(tid: number, deliver: number): void {
    this.#ignoreGone(() => ptrace.detach(tid, deliver));
  }

  #ignoreGone(action: () => void): void {
    try {
      action();
    } catch (error) {
      // The thread was killed while it stood: its end is reported separately.
      if (!(error instanceof SystemCallError && error.errno === errno.ESRCH)) throw error;
    }
  }

  #vanish(reason: GoneReason): void {
    if (this.#gone) return;
    this.#unwatch();
    this.#listener?.gone(reason);
  }

  #unwatch(): void {
    this.#gone = true;
    clearInterval(this.#timer);
    process.off("SIGCHLD", this.#drain);
  }

  /**
   * Lets go of every thread. Held threads must have been released before.
   *
   * A thread can only be detached while it stands, so each is stopped for a moment. One that does not stop within the budget
   * is detached by the kernel when this process ends.
   *
   * @param budgetMs how long it may take
   */
  detach(budgetMs = 60): void {
    if (this.#gone) return;
    this.#unwatch();
    const deadline = performance.now() + budgetMs;
    const waiting = new Set<number>();
    for (const tid of this.#threads.keys()) {
      this.#ignoreGone(() => ptrace.interrupt(tid));
      waiting.add(tid);
    }
    for (const tid of readTasksOrNone(this.pid)) waiting.add(tid);
    while (waiting.size > 0 && performance.now() < deadline) {
      const event = pollAnyThread();
      if (event === "none-left") return;
      if (event === "nothing-yet") {
        yieldProcessor();
        continue;
      }
      waiting.delete(event.tid);
      const { status } = event;
      if (status.kind === "signal") this.#detach(event.tid, status.signal);
      else if (status.kind !== "exited" && status.kind !== "killed") this.#detach(event.tid, 0);
    }
  }
}

function readTasksOrNone(pid: number): number[] {
  try {
    return readTasks(pid);
  } catch {
    return [];
  }
}
