/**
 * A traced process: all its threads, and what they stop for.
 *
 * Threads are seized, not stopped. A signal that is none of ours is passed on in the moment it is seen; a SIGBUS is handed to
 * the listener, which holds the thread until it decides. All of this runs on Node's main thread, which owns the trace; the
 * kernel's SIGCHLD wakes it. If this process dies, the kernel lets every thread run on (no PTRACE_O_EXITKILL).
 */

import { existsSync } from "node:fs";
import * as ptrace from "../linux/ptrace.js";
import { type BusError, decodeBusError } from "../linux/signal-info.js";
import { signal } from "../linux/signals.js";
import { pollAnyThread, type ThreadEvent } from "../linux/wait.js";
import { ptraceEvent } from "../linux/wait-status.js";
import { forgetAdrift, hasThreadAdrift } from "./adrift.js";
import { seizeAllThreads } from "./attach.js";
import { borrowable } from "./borrowable.js";
import { CallWatch, type EnteredCall } from "./call-watch.js";
import { detachAll, detachOne, ignoreGone } from "./detach.js";
import { findGadgets, type Gadgets } from "./gadgets.js";
import { HeldThread } from "./held-thread.js";
import { holdFirst, type Stops, type ThreadState } from "./hold-first.js";
import { isHome } from "./home.js";
import type { RemoteCalls } from "./remote-calls.js";
import { isStuck } from "./tracee-error.js";

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
const SAFETY_POLL_MS = 2000;
/** How long any of the threads asked may take, in milliseconds. */
const HOLD_LIMIT_MS = 2000;
/** The same for one that nobody waits for. */
const HOLD_ONE_LIMIT_MS = 200;

/** See the head of the file. */
export class Tracee {
  readonly pid: number;
  readonly gadgets: Gadgets;
  readonly #threads = new Map<number, ThreadState>();
  #listener: TraceeListener | undefined;
  #timer: NodeJS.Timeout | undefined;
  #gone = false;
  /** Threads that stopped for SIGBUS before anybody listened. */
  readonly #early: { readonly held: HeldThread; readonly error: BusError }[] = [];
  /** Threads that stop before their system calls, by id. */
  readonly #watches = new Map<number, CallWatch>();
  readonly #drain = (): void => this.#drainEvents();
  readonly #stops: Stops;

  private constructor(pid: number, gadgets: Gadgets) {
    this.pid = pid;
    this.gadgets = gadgets;
    this.#stops = {
      pid,
      threads: this.#threads,
      serve: (event) => {
        if (event === "none-left") this.#vanish("exited");
        else this.#dispatch(event);
        return !this.#gone;
      },
      hold: (tid) => this.#hold(tid, 0),
    };
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
    for (const { held, error } of this.#early.splice(0)) listener.busError(held, error);
    this.#drainEvents();
  }

  /**
   * Stops a running thread, whichever of those asked comes first. Meanwhile all others are served: their signals do not wait.
   * A thread that was asked and comes later is let go in the moment it is seen.
   *
   * @param preferred thread ids to ask first
   * @returns the thread, held; it goes on with `withhold()`
   * @throws TraceeError HM_TRACEE_STUCK if none stops in time, HM_TRACEE_GONE
   */
  holdAny(preferred: readonly number[] = []): HeldThread {
    const running = [...preferred, ...this.#threads.keys()].filter(
      (tid) => this.#threads.get(tid) === "running",
    );
    return holdFirst(this.#stops, borrowable(this.pid, running), HOLD_LIMIT_MS);
  }

  /**
   * Remote calls in a thread that is stopped for them and let go afterwards.
   *
   * @throws TraceeError as {@link holdAny}, what the work throws
   */
  withAny<Result>(work: (remote: RemoteCalls) => Result): Result {
    const held = this.holdAny();
    try {
      using remote = held.borrow();
      return work(remote);
    } finally {
      held.withhold();
    }
  }

  /**
   * Stops one running thread; the others are served meanwhile.
   *
   * @returns the thread, held; undefined if it cannot be stopped just now, has none of its own code to run, or has ended
   * @throws TraceeError HM_TRACEE_GONE
   */
  hold(tid: number): HeldThread | undefined {
    return this.#holdOne(tid, HOLD_ONE_LIMIT_MS);
  }

  #holdOne(tid: number, limitMs: number, meanwhile?: () => void): HeldThread | undefined {
    if (this.#threads.get(tid) !== "running" || borrowable(this.pid, [tid]).length === 0) return undefined;
    try {
      return holdFirst(this.#stops, [tid], limitMs, meanwhile);
    } catch (error) {
      if (isStuck(error)) return undefined;
      throw error;
    }
  }

  /**
   * Whether every thread is seen in its own code: stops each for a moment. What is known to be adrift in the process is forgotten then.
   *
   * @param meanwhile done again and again: what they may wait for
   * @returns false as well if one cannot be stopped, or the process has ended. Never throws
   */
  allHome(meanwhile: () => void = () => {}): boolean {
    const { pid, gadgets } = this;
    const holdOne = (tid: number): HeldThread | undefined => this.#holdOne(tid, HOLD_LIMIT_MS, meanwhile);
    const home = { pid, gadgets, stateOf: (tid: number) => this.#threads.get(tid), holdOne };
    try {
      if (!this.threadIds.every((tid) => isHome(home, tid))) return false;
    } catch {
      return false;
    }
    forgetAdrift(pid);
    return true;
  }

  /** If a thread is known to be adrift, looks whether all are home. */
  lookForAdrift(): void {
    if (hasThreadAdrift(this.pid)) this.allHome();
  }

  #hold(tid: number, pendingSignal: number): HeldThread {
    this.#threads.set(tid, "held");
    return new HeldThread(
      this.pid,
      tid,
      this.gadgets,
      {
        run: (deliver) => {
          this.#threads.set(tid, "running");
          this.#resume(tid, deliver);
        },
        watch: (entered) => this.#watch(tid, entered),
      },
      pendingSignal,
    );
  }

  #watch(tid: number, entered: EnteredCall): CallWatch {
    const goOn = (): void => {
      this.#threads.set(tid, "running");
      this.#resume(tid, 0);
    };
    const free = (): void => {
      this.#watches.delete(tid);
      goOn();
    };
    const watch = new CallWatch(tid, entered, { goOn, free });
    this.#watches.set(tid, watch);
    goOn();
    return watch;
  }

  #systemCallStop(tid: number): void {
    const watch = this.#watches.get(tid);
    if (watch === undefined) return this.#resume(tid, 0);
    // Nobody may borrow it while it stands.
    this.#threads.set(tid, "held");
    ignoreGone(() => watch.stopped());
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
      this.#watches.delete(tid);
      if (this.#threads.size === 0) this.#vanish("exited");
      return;
    }
    if (!this.#threads.has(tid)) this.#threads.set(tid, "running");
    if (status.kind === "signal") this.#signalStop(tid, status.signal);
    else if (status.kind === "event") this.#eventStop(tid, status.event, status.signal);
    else if (status.kind === "system-call") this.#systemCallStop(tid);
  }

  #signalStop(tid: number, number: number): void {
    if (number !== signal.SIGBUS) return this.#resume(tid, number);
    let error: BusError;
    try {
      error = decodeBusError(ptrace.signalInfo(tid));
    } catch {
      return this.#resume(tid, number);
    }
    // Whoever watched it has to begin anew.
    this.#watches.delete(tid);
    const held = this.#hold(tid, number);
    if (this.#listener === undefined) this.#early.push({ held, error });
    else this.#listener.busError(held, error);
  }

  #eventStop(tid: number, event: number, number: number): void {
    if (event === ptraceEvent.EXEC) {
      // Every other thread is gone and the address space is a new one: not what we were asked to guard.
      detachOne(tid, 0);
      return this.#vanish("exec");
    }
    if (event === ptraceEvent.STOP && number !== signal.SIGTRAP) {
      this.#threads.set(tid, "group-stop");
      return ignoreGone(() => ptrace.listen(tid));
    }
    if (event === ptraceEvent.STOP && !existsSync(`/proc/${this.pid}/task/${tid}`)) {
      // A clone(2) that is no thread of this process came along: let it go.
      this.#threads.delete(tid);
      return detachOne(tid, 0);
    }
    this.#threads.set(tid, "running");
    this.#resume(tid, 0);
  }

  #resume(tid: number, deliver: number): void {
    const watch = this.#watches.get(tid);
    if (watch?.ended === true) this.#watches.delete(tid);
    const watched = watch?.ended === false;
    ignoreGone(() => (watched ? ptrace.resumeToSystemCall : ptrace.resume)(tid, deliver));
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
    for (const { held } of this.#early.splice(0)) held.deliver();
    detachAll(this.pid, this.#threads.keys(), budgetMs);
  }
}
