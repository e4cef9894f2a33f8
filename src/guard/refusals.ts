/** Large pages that were left alone: the signals of their touches go through at once. */

import type { Hva } from "../linux/address.js";

/**
 * A stop may be older than what mended its page, so a page without an error says nothing about the next one: such a refusal
 * counts for the one repeated access only.
 */
const SINGLE_USE: ReadonlySet<string> = new Set(["HM_SALVAGE_NOTHING_LOST"]);

/** See the head of the file. One entry a refused page. */
export class Refusals {
  readonly #bases = new Map<Hva, "lasting" | "once">();

  /** @param base first byte of the page @param code why it was refused */
  add(base: Hva, code: string): void {
    this.#bases.set(base, SINGLE_USE.has(code) ? "once" : "lasting");
  }

  /** The same for a touch whose signal was delivered with the refusal: there is no repeated access to wait for. */
  addLasting(base: Hva, code: string): void {
    if (!SINGLE_USE.has(code)) this.#bases.set(base, "lasting");
  }

  /** Whether the page is left alone. */
  has(base: Hva): boolean {
    return this.#bases.has(base);
  }

  /** Whether a touch of this page is to be delivered at once. Uses a refusal up that counts once. */
  takes(base: Hva): boolean {
    const kind = this.#bases.get(base);
    if (kind === "once") this.#bases.delete(base);
    return kind !== undefined;
  }

  /** Forgets all: after a reset what was left alone before may be tried again. */
  clear(): void {
    this.#bases.clear();
  }
}
