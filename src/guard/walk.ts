/** What a guard has to do, one thing at a time. */

import { BUS_MCEERR_AR, type BusError } from "../linux/signal-info.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext, StoppedAtError } from "./guard-context.js";
import { healAfterMissedReset, healAfterReset } from "./heal-after-reset.js";
import { finishFill } from "./lazy/finish-fill.js";
import { handleMemoryError } from "./memory-error.js";
import { bounceToRepeat } from "./release.js";
import { handleReport } from "./untouched/untouched-error.js";
import type { UntouchedErrors } from "./untouched/untouched-errors.js";

/** See the head of the file. */
export class Walk {
  /** What every step works with; its `waiting` are the threads that wait here. */
  readonly context: GuardContext;
  readonly #untouched: UntouchedErrors;
  readonly #queue: StoppedAtError[] = [];
  readonly #chores: (() => Promise<void>)[] = [];
  #resetSeen = false;
  #resetMissed = false;
  /** Heals that come when everything is filled. */
  #deferred = 0;
  #walking: Promise<void> = Promise.resolve();
  #busy = false;
  #ending = false;
  #left = false;

  constructor(context: Omit<GuardContext, "waiting">, untouched: UntouchedErrors) {
    this.#untouched = untouched;
    this.context = {
      ...context,
      waiting: {
        any: () => this.#queue.length > 0 || this.#ending,
        bounce: () => this.bounce(),
      },
    };
  }

  /** A thread stopped for SIGBUS. */
  add(held: HeldThread, { address, code }: BusError): void {
    this.#queue.push({ trigger: "AR", held, address, code, since: performance.now() });
    this.wake();
  }

  /** Something that is no error, as soon as no thread stands at one. */
  later(chore: () => Promise<void>): void {
    this.#chores.push(chore);
    this.wake();
  }

  /** Large pages are to be put back. */
  guestWasReset(): void {
    this.#resetSeen = true;
    this.wake();
  }

  /** Large pages are to be put back if the guest was reset without a word. */
  lookForResets(): void {
    if (!this.context.replaced.anyPending) return;
    this.#resetMissed = true;
    this.wake();
  }

  /** There may be something to do. */
  wake(): void {
    if (!this.#busy && !this.#left) this.#walking = this.#walk();
  }

  /** Does something at once if nothing else is under way, and not at all otherwise. Whatever stops meanwhile waits for its turn. */
  ifIdle(work: () => void): void {
    if (this.#busy || this.#ending) return;
    this.#busy = true;
    try {
      work();
    } finally {
      this.#busy = false;
    }
    this.wake();
  }

  /**
   * One error at a time: the second of two threads at the same page finds it replaced already. Threads that stand come first,
   * and a reset of the guest last, so that everything that was lost before it comes back with it.
   */
  async #walk(): Promise<void> {
    this.#busy = true;
    try {
      for (;;) {
        const stopped = this.#queue.shift();
        const reported = stopped === undefined ? this.#untouched.take() : undefined;
        const idle = stopped === undefined && reported === undefined;
        const filled = idle ? this.context.fills.take() : undefined;
        const chore = idle && filled === undefined ? this.#chores.shift() : undefined;
        if (stopped !== undefined) await handleMemoryError(this.context, stopped);
        else if (reported !== undefined) await handleReport(this.context, reported);
        else if (filled !== undefined) finishFill(this.context, filled);
        else if (chore !== undefined) await chore();
        else if (this.#resetSeen || this.#resetMissed) await this.#heal();
        else return;
      }
    } finally {
      this.#busy = false;
    }
  }

  async #heal(): Promise<void> {
    const seen = this.#resetSeen;
    // The one takes care of what the other would find.
    this.#resetSeen = false;
    this.#resetMissed = false;
    if (this.context.fills.any && !this.#ending) return this.#healWhenFilled(seen);
    await (seen ? healAfterReset : healAfterMissedReset)(this.context);
  }

  /** What is not there yet cannot be copied. Whoever stops at an error meanwhile need not wait for that. */
  #healWhenFilled(seen: boolean): void {
    this.#deferred += 1;
    void this.context.fills.finishAll().then(() => {
      this.#deferred -= 1;
      if (seen) this.#resetSeen = true;
      else this.#resetMissed = true;
      this.wake();
    });
  }

  /** Lets all threads that wait repeat their access. */
  bounce(): void {
    for (const { held, code } of this.#queue.splice(0)) {
      // Only an access repeats; any other SIGBUS would be lost.
      if (code === BUS_MCEERR_AR) bounceToRepeat(this.context, held);
      else held.deliver();
    }
  }

  /** Finishes what is under way; nothing new is begun. Threads that stop from then on wait for a `bounce`. */
  async end(): Promise<void> {
    this.#ending = true;
    this.bounce();
    await this.#walking;
    if (this.#deferred > 0) await this.context.fills.finishAll();
    await this.#walking;
    this.#left = true;
  }
}
