/** One replacement in the fill thread: a little of it at a time, and whoever waits first. */

import { unregisterRange } from "../../linux/userfaultfd.js";
import { MOST_PIECE, PageFill } from "../../recovery/page-fill.js";
import type { FillOrder, FillResult, FillStep } from "./fill-messages.js";
import { MemoryGate } from "./memory-gate.js";
import { RangeJoins } from "./range-joins.js";

/** After a fault more of them are likely: then the pieces that a next one may have to wait for are small. */
const SMALL_PIECE = 16_384;
const CAREFUL_MS = 2;
/** Until a page that could not be put in place is tried again. */
const RETRY_MS = 1;

/** Who wants to know how far it is. */
export interface RoundListener {
  /** Each 4 KiB is in place or marked; whoever goes on from here needs no source any more. @param lost offsets of the lost 4 KiB */
  full(lost: readonly number[]): void;
  step(step: FillStep): void;
}

/** See the head of the file. */
export class FillRound {
  readonly order: FillOrder;
  readonly #fill: PageFill;
  readonly #since = performance.now();
  #filled = 0;
  readonly #memory: MemoryGate;
  #lastFault = -Infinity;
  #hurry = false;
  /** Once it is full. */
  #joins: RangeJoins | undefined;
  readonly #listener: RoundListener;

  constructor(order: FillOrder, listener: RoundListener) {
    this.order = order;
    this.#listener = listener;
    this.#fill = new PageFill(order.job);
    this.#memory = new MemoryGate(order.pid);
    if (order.full) this.#joins = this.#newJoins(undefined);
  }

  /** Lets go of what it has open. */
  close(): void {
    this.#memory[Symbol.dispose]();
  }

  /** Whether it still watches for faults. */
  get watching(): boolean {
    return this.#joins === undefined;
  }

  /** From now on as fast as it can. */
  hurry(): void {
    this.#hurry = true;
  }

  /** @returns how many were served @throws RecoveryError */
  serve(): number {
    if (!this.watching) return 0;
    const served = this.#fill.serve();
    if (served > 0) this.#lastFault = performance.now();
    return served;
  }

  /** @returns milliseconds until there is something to do; Infinity: only when somebody touches it */
  pause(now: number): number {
    if (!this.watching || this.#fill.complete) return 0;
    // The VM was changing its mappings.
    if (this.#fill.someoneWaits) return RETRY_MS;
    const short = this.#memory.pause(now);
    if (short > 0) return short;
    if (this.#hurry || this.order.rate === Infinity) return 0;
    if (this.order.rate === 0) return Infinity;
    const due = this.#since + (this.#filled / (this.order.rate * 1_048_576)) * 1000;
    return Math.max(0, due - now);
  }

  /**
   * The next piece: of the fill, or of joining what is full.
   *
   * @returns the result when all is done
   * @throws RecoveryError (of which MemoryIsShort is told once), LinuxError HM_USERFAULTFD
   */
  step(now: number): FillResult | undefined {
    if (this.#joins === undefined) {
      if (!this.#fill.complete) {
        if (!this.#memory.allows(this.#filled, now)) return undefined;
        const careful = now - this.#lastFault < CAREFUL_MS;
        this.#filled += this.#fill.fillNext(careful ? SMALL_PIECE : MOST_PIECE);
        return undefined;
      }
      const { userfaultfd, base, source } = this.order.job;
      const { lost } = this.#fill;
      this.#listener.full(lost);
      // Every 4 KiB is in place or marked, so nobody can find a hole where nobody watches any more.
      unregisterRange(userfaultfd, base, source.size);
      this.#listener.step("fill-unwatched");
      this.#joins = this.#newJoins(lost);
    }
    return this.#joins.step();
  }

  #newJoins(lost: readonly number[] | undefined): RangeJoins {
    const { collapse, job, pid, processDescriptor } = this.order;
    const { base, source } = job;
    return new RangeJoins({ pid, processDescriptor, base, size: source.size, collapse, lost }, () =>
      this.#listener.step("range-joined"),
    );
  }
}
