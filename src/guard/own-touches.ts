import type { Hva } from "../linux/address.js";

/** Another thread's SIGBUS may have cost QEMU its handler, so that a touch is repeated once; more than this is the thread's own doing. */
const MOST_REPEATS = 3;

/**
 * Touches of lost pages by threads that block SIGBUS, which QEMU's main loop and its I/O threads do. The kernel forces the signal on
 * them and resets QEMU's handler. Putting the handler back and repeating the access would go on for ever.
 */
export class OwnTouches {
  readonly #repeats = new Map<number, { address: Hva; count: number }>();

  /** @param tid a thread at a lost page whose SIGBUS nobody would catch @returns whether it has been here too often */
  tooOften(tid: number, address: Hva): boolean {
    const last = this.#repeats.get(tid);
    const count = last?.address === address ? last.count + 1 : 1;
    this.#repeats.set(tid, { address, count });
    if (count <= MOST_REPEATS) return false;
    this.#repeats.delete(tid);
    return true;
  }
}
