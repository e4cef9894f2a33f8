/** How far a replacement is filled: memory that all threads which serve and fill it have in common. */

import { SMALL_PAGE } from "./large-page.js";

/** States of one 4 KiB. */
const MISSING = 0;
const PRESENT = 1;
const LOST = 2;

/** 32-bit numbers in front of the states: how many are missing; whether a part is no longer mapped; what comes next, or NOWHERE. */
const LEFT = 0;
const TORN = 1;
const NEXT = 2;
const HEAD_SIZE = 64;
const NOWHERE = -1;

/** @param size bytes of the replacement @returns what FillProgress looks at: nothing is in place yet */
export function newProgress(size: number): SharedArrayBuffer {
  const pages = size / SMALL_PAGE;
  const shared = new SharedArrayBuffer(HEAD_SIZE + pages);
  const head = new Int32Array(shared, 0, HEAD_SIZE / 4);
  head[LEFT] = pages;
  head[NEXT] = NOWHERE;
  return shared;
}

/**
 * See the head of the file. Pages are counted from 0. A page is noted after it is in place, never before: who dies in between leaves a page
 * that the next one finds in place.
 */
export class FillProgress {
  readonly #head: Int32Array;
  readonly #states: Uint8Array;

  /** @param shared from newProgress */
  constructor(shared: SharedArrayBuffer) {
    this.#head = new Int32Array(shared, 0, HEAD_SIZE / 4);
    this.#states = new Uint8Array(shared, HEAD_SIZE);
  }

  /** Whether each 4 KiB is in place or marked as lost. */
  get complete(): boolean {
    return Atomics.load(this.#head, LEFT) <= 0;
  }

  /** Whether some of the replacement is no longer mapped. */
  get torn(): boolean {
    return Atomics.load(this.#head, TORN) !== 0;
  }

  /** Offsets of the lost 4 KiB found so far, ascending. */
  get lost(): number[] {
    const found: number[] = [];
    for (let page = this.#states.indexOf(LOST); page >= 0; page = this.#states.indexOf(LOST, page + 1))
      found.push(page * SMALL_PAGE);
    return found;
  }

  /** Whether a page is in place or marked. */
  isSettled(page: number): boolean {
    return Atomics.load(this.#states, page) !== MISSING;
  }

  /** Whether a page is marked as lost. */
  isLost(page: number): boolean {
    return Atomics.load(this.#states, page) === LOST;
  }

  /** @param from where to look first @returns a page that is missing; -1 if none is */
  nextMissing(from: number): number {
    if (this.complete) return -1;
    const ahead = this.#states.indexOf(MISSING, from);
    const found = ahead >= 0 ? ahead : this.#states.indexOf(MISSING);
    // A thread that was ended in the middle of a note has not counted it.
    if (found < 0) Atomics.store(this.#head, LEFT, 0);
    return found;
  }

  /** @returns how many pages are missing in a row from `page` on, at most `most` */
  missingFrom(page: number, most: number): number {
    let count = 0;
    while (count < most && this.#states[page + count] === MISSING) count += 1;
    return count;
  }

  /** These are in place. What somebody has marked as lost stays lost. */
  notePresent(first: number, count: number): void {
    for (let page = first; page < first + count; page += 1)
      if (Atomics.compareExchange(this.#states, page, MISSING, PRESENT) === MISSING) this.#oneLess();
  }

  /** This one is marked as lost. */
  noteLost(page: number): void {
    // Over what another says who has only found it in place: what it found is the marker.
    if (Atomics.exchange(this.#states, page, LOST) === MISSING) this.#oneLess();
  }

  /** A part of the replacement is no longer mapped. */
  noteTorn(): void {
    Atomics.store(this.#head, TORN, 1);
  }

  /** Whoever needed a page needs the ones behind it next. */
  goOnAt(page: number): void {
    Atomics.store(this.#head, NEXT, page);
  }

  /** @returns where to go on, told once; undefined: nobody was served meanwhile */
  takeNext(): number | undefined {
    const page = Atomics.exchange(this.#head, NEXT, NOWHERE);
    return page === NOWHERE ? undefined : page;
  }

  #oneLess(): void {
    Atomics.sub(this.#head, LEFT, 1);
  }
}
