/** The replacements that a thread serves or fills. Trouble with one must not stop the others. */

import { HugemendError, messageOf } from "../../errors.js";
import { FillError } from "../../recovery/page-fill.js";
import type { FillOrder } from "./fill-messages.js";
import { MemoryIsShort } from "./memory-gate.js";
import type { WorkerLine } from "./worker-line.js";

/** After trouble a replacement rests this long, in milliseconds: what it lacks may come. */
const REST_MS = 100;

/** One of them. */
export interface WorkerRound {
  readonly order: FillOrder;
  /** Lets go of what it has opened itself. */
  close(): void;
  /** @returns milliseconds until there is something to do; Infinity: only when somebody says so */
  pause(now: number): number;
}

/** See the head of the file. Times are on performance.now()'s clock. */
export class WorkerRounds<Round extends WorkerRound> {
  readonly #line: WorkerLine;
  readonly #rounds: Round[] = [];
  readonly #restsUntil = new Map<Round, number>();

  /** @param line told of trouble, and when one is dropped */
  constructor(line: WorkerLine) {
    this.#line = line;
  }

  get all(): readonly Round[] {
    return this.#rounds;
  }

  add(round: Round): void {
    this.#rounds.push(round);
  }

  /** From now on its descriptors are not used any more. */
  drop(id: number): void {
    const at = this.#rounds.findIndex(({ order }) => order.id === id);
    const [round] = at < 0 ? [] : this.#rounds.splice(at, 1);
    if (round === undefined) return;
    this.#restsUntil.delete(round);
    round.close();
    this.#line.say({ kind: "left", id });
  }

  dropAll(): void {
    for (const { order } of [...this.#rounds]) this.drop(order.id);
  }

  /** Those that have had no trouble just now. */
  awake(now: number): Round[] {
    // Almost always: whoever waits for a page waits for this, too.
    if (this.#restsUntil.size === 0) return [...this.#rounds];
    for (const [round, until] of this.#restsUntil) if (until <= now) this.#restsUntil.delete(round);
    return this.#rounds.filter((round) => !this.#restsUntil.has(round));
  }

  /** @returns milliseconds until one of them has something to do, or Infinity */
  pause(now: number): number {
    return Math.min(Infinity, ...this.#rounds.map((round) => this.pauseOf(round, now)));
  }

  /** @returns the same for one */
  pauseOf(round: Round, now: number): number {
    return this.#rest(round, now) || round.pause(now);
  }

  /** @returns false if nobody waits for this one any more: the VM has ended, or has unmapped it. It is dropped then */
  attempt(round: Round, action: () => void): boolean {
    const { id } = round.order;
    try {
      action();
    } catch (error) {
      if (error instanceof FillError && error.vanished) {
        this.drop(id);
        return false;
      }
      if (!(error instanceof MemoryIsShort)) this.#restsUntil.set(round, performance.now() + REST_MS);
      const code = error instanceof HugemendError ? error.code : "HM_INTERNAL";
      this.#line.say({ kind: "trouble", id, code, message: messageOf(error) });
    }
    return true;
  }

  #rest(round: Round, now: number): number {
    return Math.max(0, (this.#restsUntil.get(round) ?? 0) - now);
  }
}
