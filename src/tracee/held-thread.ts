import type { Gadgets } from "./gadgets.js";
import { RemoteCalls } from "./remote-calls.js";
import { TraceeError } from "./tracee-error.js";

/** A thread that stands still because of us. Exactly one of `deliver` and `withhold` ends that. */
export class HeldThread {
  readonly pid: number;
  readonly tid: number;
  readonly #gadgets: Gadgets;
  readonly #release: (deliver: number) => void;
  #pendingSignal: number;
  #released = false;

  /** @param release resumes the thread with a signal @param pendingSignal what it stopped for, 0 for none */
  constructor(
    pid: number,
    tid: number,
    gadgets: Gadgets,
    release: (deliver: number) => void,
    pendingSignal: number,
  ) {
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
    if (this.#released) {
      throw new TraceeError("HM_TRACEE_RELEASED", `Thread ${this.tid} was let go already`);
    }
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

  #end(deliver: number): void {
    if (this.#released) return;
    this.#released = true;
    this.#release(deliver);
  }
}
