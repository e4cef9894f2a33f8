/** Frames that the kernel has reported as bad, by large page: a lazy recovery has to see one bad 4 KiB, and this is where it looks first. */

import type { Hva, Pfn } from "../../linux/address.js";
import { SMALL_PAGE } from "../../recovery/large-page.js";

/** More than a storm brings; what is forgotten is found by reading. */
const MOST_PAGES = 1024;
const MOST_IN_A_PAGE = 64;
/** Frames in the largest page of any architecture: a large page of whatever size begins at a multiple of its own. */
const FRAME_MASK = (1n << 22n) - 1n;

/** See the head of the file. */
export class BadFrames {
  readonly #frames = new Map<Hva, Set<bigint>>();

  /** @param base first byte of the large page @param frame the bad one */
  note(base: Hva, frame: Pfn): void {
    const known = this.#frames.get(base) ?? new Set();
    if (known.size < MOST_IN_A_PAGE) known.add(frame & FRAME_MASK);
    this.#frames.set(base, known);
    if (this.#frames.size <= MOST_PAGES) return;
    for (const oldest of this.#frames.keys()) {
      this.#frames.delete(oldest);
      return;
    }
  }

  /** @param size bytes of the large page @returns byte offsets in it, ascending */
  in(base: Hva, size: number): number[] {
    const frames = BigInt(size / SMALL_PAGE);
    const offsets = [...(this.#frames.get(base) ?? [])].map((frame) => Number(frame % frames) * SMALL_PAGE);
    return offsets.sort((left, right) => left - right);
  }
}
