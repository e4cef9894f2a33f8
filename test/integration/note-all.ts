/** What two threads note about the same pages at the same time. */

import { FillProgress } from "../../src/recovery/fill-progress.js";

/** Pages of a replacement of 1 GiB. */
export const PAGES: number = 2 ** 18;
/** The one that neither notes. */
export const LEFT_OUT = 123_457;

/** What both threads have in common. */
export interface Shared {
  readonly progress: SharedArrayBuffer;
  /** One 32-bit number: how many have come to the start. */
  readonly gate: SharedArrayBuffer;
}

/** @returns whether this thread finds the page lost: some only one does, some both */
export function isLost(page: number, thread: 0 | 1): boolean {
  return page % (thread === 0 ? 96 : 144) === 1;
}

/** Waits for the other thread, then notes every page but one, in the same order as the other. */
export function noteAll({ progress, gate }: Shared, thread: 0 | 1): void {
  const notes = new FillProgress(progress);
  const counts = new Int32Array(gate);
  Atomics.add(counts, 0, 1);
  Atomics.notify(counts, 0);
  while (Atomics.load(counts, 0) < 2) Atomics.wait(counts, 0, 1);
  for (let page = 0; page < PAGES; page += 1) {
    if (page === LEFT_OUT) continue;
    if (isLost(page, thread)) notes.noteLost(page);
    else notes.notePresent(page, 1);
  }
}
