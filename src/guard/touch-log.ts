import type { Hva } from "../linux/address.js";

/** A guest may touch a lost page in a loop: the same page is told again only after this long. */
const SILENCE_MS = 60_000;

/** Keeps a guest from filling the ledger. Holds one entry a lost page. */
export class TouchLog {
  readonly #told = new Map<Hva, number>();

  /** @param page first byte of a lost 4 KiB page @param now milliseconds on any steady clock */
  isNews(page: Hva, now: number = performance.now()): boolean {
    const last = this.#told.get(page);
    if (last !== undefined && now - last < SILENCE_MS) return false;
    this.#told.set(page, now);
    return true;
  }
}
