import { refuseAdrift } from "./adrift.js";
import type { CallWatch, EnteredCall } from "./call-watch.js";
import type { Gadgets } from "./gadgets.js";
import { RemoteCalls } from "./remote-calls.js";
import { TraceeError } from "./tracee-error.js";

/** The ways a tracee lets a held thread go. */
export interface HeldThreadRelease {
  /** @param deliver the signal it gets, 0 for none */
  run(deliver: number): void;
  watch(entered: EnteredCall): CallWatch;
}

/** A thread that stands still because of us. Exactly one of `deliver`, `withhold` and `watchCalls` ends that. */
export class HeldThread {
  readonly pid: number;
  readonly tid: number;
  readonly #gadgets: Gadgets;
  readonly #release: HeldThreadRelease;
  #pendingSignal: number;
  #released = false;

  /** @param release lets the thread go @param pendingSignal what it stopped for, 0 for none */
  constructor(pid: number, tid: number, gadgets: Gadgets, release: HeldThreadRelease, pendingSignal: number) {
    this.pid = pid;
    this.tid = tid;
    this.#gadgets = gadgets;
    this.#release = release;
    this.#pendingSignal = pendingSignal;
  }

  /** Whether the signal it stopped for can still be delivered with its original siginfo. */
  get canDeliver(): boolean {
    return this.#pendingSignal !== 0 && !this.#released;
  }

  /** Whether it has been let go. */
  get released(): boolean {
    return this.#released;
  }

  /**
   * Borrows the thread for remote system calls. Afterwards the signal it stopped for is gone: an access that faulted faults
   * again, and its new signal says the same.
   *
   * @throws TraceeError, LinuxError
   */
  borrow(): RemoteCalls {
    this.#refuseReleased();
    // While it still has its signal.
    refuseAdrift(this.pid);
    this.#pendingSignal = 0;
    return RemoteCalls.enter(this.pid, this.tid, this.#gadgets);
  }

  /** Lets the thread go with its original signal; without it, if it was borrowed in between. */
  deliver(): void {
    this.#end(this.#pendingSignal);
  }

  /** Lets the thread go without the signal: it repeats what it did. */
  withhold(): void {
    this.#end(0);
  }

  /**
   * Lets the thread go without the signal, and looks at each system call it is about to make.
   *
   * @param entered called at each of them
   * @throws TraceeError HM_TRACEE_RELEASED
   */
  watchCalls(entered: EnteredCall): CallWatch {
    this.#refuseReleased();
    this.#released = true;
    return this.#release.watch(entered);
  }

  #refuseReleased(): void {
    if (this.#released) throw new TraceeError("HM_TRACEE_RELEASED", `Thread ${this.tid} was let go already`);
  }

  #end(deliver: number): void {
    if (this.#released) return;
    this.#released = true;
    this.#release.run(deliver);
  }
}
