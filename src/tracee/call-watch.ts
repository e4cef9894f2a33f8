/** A thread that runs on, but stops before each of its system calls. */

import type { CurrentCall } from "../linux/arch/architecture.js";
import { currentArchitecture } from "../linux/arch/current.js";
import * as ptrace from "../linux/ptrace.js";

/**
 * Called when the thread is about to make a system call.
 *
 * @returns whether it shall stand there until `goOn` or `end`
 */
export type EnteredCall = (call: CurrentCall) => boolean;

/** How a tracee lets a watched thread go. */
export interface WatchRelease {
  /** Up to its next system call. */
  goOn(): void;
  /** For good. */
  free(): void;
}

/** See the head of the file. */
export class CallWatch {
  readonly #tid: number;
  readonly #entered: EnteredCall;
  readonly #release: WatchRelease;
  #standing = false;
  #ended = false;

  constructor(tid: number, entered: EnteredCall, release: WatchRelease) {
    this.#tid = tid;
    this.#entered = entered;
    this.#release = release;
  }

  /** Whether the thread stands before a system call. */
  get standing(): boolean {
    return this.#standing;
  }

  /** Whether it is to be let go for good at its next stop. */
  get ended(): boolean {
    return this.#ended;
  }

  /** For the tracee: the thread stands at the entry to or exit from a system call. @throws LinuxError if it was killed there */
  stopped(): void {
    if (this.#ended) return this.#release.free();
    const call = currentArchitecture().registers.currentCall(ptrace.readRegisters(this.#tid));
    this.#standing = call?.ahead === true && this.#entered(call);
    if (!this.#standing) this.#release.goOn();
  }

  /** Lets a thread that stands go on, up to its next system call. */
  goOn(): void {
    if (!this.#standing) return;
    this.#standing = false;
    this.#release.goOn();
  }

  /** Ends the watch: the thread is free, now if it stands, else from its next stop on. */
  end(): void {
    this.#ended = true;
    if (!this.#standing) return;
    this.#standing = false;
    this.#release.free();
  }
}
