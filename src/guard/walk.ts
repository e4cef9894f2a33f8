/** What a guard has to do, one thing at a time. */

import { BUS_MCEERR_AR, type BusError } from "../linux/signal-info.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext, StoppedAtError } from "./guard-context.js";
import { healAfterMissedReset, healAfterReset, resetWasMissed } from "./heal-after-reset.js";
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
  /** Heals that come when everything is filled, and those whose time has come. */
  #deferred = 0;
  readonly #due: ((guard: GuardContext) => Promise<void>)[] = [];
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

  /** One thing at a time: the second of two threads at the same page finds it replaced already. */
  async #walk(): Promise<void> {
    this.#busy = true;
    try {
      for (let work = this.#next(); work !== undefined; work = this.#next()) await work();
    } finally {
      this.#busy = false;
    }
  }

  /** Threads that stand come first, and a reset of the guest last, so that everything that was lost before it comes back with it. */
  #next(): (() => Promise<void> | void) | undefined {
    const { fills, tracee } = this.context;
    tracee.lookForAdrift();
    const stopped = this.#queue.shift();
    if (stopped !== undefined) return () => handleMemoryError(this.context, stopped);
    const reported = this.#untouched.take();
    if (reported !== undefined) return () => handleReport(this.context, reported);
    const heal = this.#due.shift();
    if (heal !== undefined) return () => this.#healFilled(heal);
    // A page that is about to come back is not given back before.
    const filled = this.#deferred === 0 ? fills.take() : undefined;
    if (filled !== undefined) return () => finishFill(this.context, filled);
    const chore = this.#chores.shift();
    if (chore !== undefined) return chore;
    return this.#resetSeen || this.#resetMissed ? () => this.#heal() : undefined;
  }

  async #heal(): Promise<void> {
    const seen = this.#resetSeen;
    const heal = seen ? healAfterReset : healAfterMissedReset;
    // The one takes care of what the other would find.
    this.#resetSeen = false;
    this.#resetMissed = false;
    if (seen || !this.context.fills.any || resetWasMissed(this.context)) await this.#healFilled(heal);
  }

  /** What is not there yet cannot be copied. Whoever stops at an error meanwhile need not wait for that, nor at the next page that is begun. */
  async #healFilled(heal: (guard: GuardContext) => Promise<void>): Promise<void> {
    const { fills } = this.context;
    if (!fills.any) return await heal(this.context);
    this.#deferred += 1;
    void fills.finishAll().then(() => {
      this.#deferred -= 1;
      this.#due.push(heal);
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
    while (this.#deferred > 0) {
      await this.context.fills.finishAll();
      await this.#walking;
    }
    this.#left = true;
  }
}
