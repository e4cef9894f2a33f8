/** One replacement in the thread that fills: a little of it at a time, and then of joining it to large pages. */

import { MOST_PIECE, PageFill } from "../../recovery/page-fill.js";
import type { FillOrder, FillResult, FillStep } from "./fill-messages.js";
import { MemoryGate } from "./memory-gate.js";
import { RangeJoins } from "./range-joins.js";

/** Until a piece of which nothing could be put in place is tried again: the VM was changing its mappings. */
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
  #retryAt = -Infinity;
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

  /** Whether it is full, and what is left is to join it. */
  get isJoining(): boolean {
    return this.#joins !== undefined;
  }

  /** From now on as fast as it can. */
  hurry(): void {
    this.#hurry = true;
  }

  /** @returns milliseconds until there is something to do; Infinity: only when somebody touches it */
  pause(now: number): number {
    if (this.#joins !== undefined || this.#fill.complete) return 0;
    if (this.#retryAt > now) return this.#retryAt - now;
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
        const placed = this.#fill.fillNext(MOST_PIECE);
        this.#filled += placed;
        if (placed === 0) this.#retryAt = now + RETRY_MS;
        return undefined;
      }
      const { lost } = this.#fill;
      this.#listener.full(lost);
      this.#fill.end();
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
