/** Stops that are older than what has mended their page. */

import type { Hva } from "../linux/address.js";
import type { PagemapReader } from "../linux/procfs/pagemap-reader.js";

/** A thread that stops again and again at a page which is mapped has a real reason. */
const MOST_REPEATS = 3;

/**
 * While one thread's error is dealt with, others wait with theirs; meanwhile the page may have been put back (a reset, a second
 * guard's work). The kernel unmaps a poisoned large page everywhere, so a page that is mapped is not the one they stopped for:
 * they repeat their access. Only the page table is looked at; reading the page itself could consume poison.
 */
export class StaleStops {
  readonly #repeats = new Map<number, { address: Hva; count: number }>();

  /** @param pagemap the VM's @param tid a thread at a large page @param address where @throws LinuxError if the page table cannot be read */
  has(pagemap: PagemapReader, tid: number, address: Hva): boolean {
    const mapped = pagemap.at(address)?.present === true;
    const last = this.#repeats.get(tid);
    const count = mapped && last?.address === address ? last.count + 1 : 1;
    if (!mapped || count > MOST_REPEATS) {
      this.#repeats.delete(tid);
      return false;
    }
    this.#repeats.set(tid, { address, count });
    return true;
  }
}
