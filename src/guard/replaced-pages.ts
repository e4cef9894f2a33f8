/** What the guard knows of large pages that small ones stand for: what of them may be forgiven when the guest was reset. */

import type { LedgerState } from "../ledger/replay.js";
import { type Hva, hva } from "../linux/address.js";
import type { OverlayIdentity } from "../recovery/overlay-name.js";

/** What the ledger says of large pages that are not in their place. */
export type LeftPages = Pick<LedgerState, "openHeals" | "replaced" | "openIntents">;

/** An overlay in place, after a reset of the guest. */
export interface ForgivenPage {
  readonly overlay: OverlayIdentity;
  /** Offsets of the pages that were lost before the reset: nothing of them is expected any more. */
  readonly lost: readonly number[];
}

interface Entry {
  /** Offsets of pages that were lost when the large page was replaced, and are not usable again. */
  readonly lost: Set<number>;
  /** Those of them that were lost before a reset we know of. */
  readonly forgiven: Set<number>;
  /** We have given the bad page back to the kernel: that there is a hole in its file says nothing. */
  givenBack: boolean;
  /** A reset was found out: the large page should come back. */
  due: boolean;
  /** Why it did not, as last told. */
  why: string | undefined;
}

/** See the head of the file. What was lost after the replacement is not known here, so it is never forgiven unless a reset is seen. */
export class ReplacedPages {
  readonly #entries = new Map<Hva, Entry>();
  readonly #news: () => void;

  /** @param left of earlier guards @param news called whenever something may have been lost */
  constructor(left: LeftPages, news: () => void = () => {}) {
    this.#news = news;
    for (const { hva: base, lost, givenBack } of left.replaced)
      this.replaced(hva(BigInt(base)), lost).givenBack = givenBack;
    for (const { hva: base, lost } of left.openIntents) this.replaced(hva(BigInt(base)), lost);
    for (const { hva: base, lost } of left.openHeals) {
      this.reset(hva(BigInt(base)), lost);
      this.resetFound(hva(BigInt(base)));
    }
  }

  /** A large page was replaced. @param base its first byte @param lost byte offsets in it */
  replaced(base: Hva, lost: readonly number[]): Entry {
    const entry = {
      lost: new Set(lost),
      forgiven: new Set<number>(),
      givenBack: false,
      due: false,
      why: undefined,
    };
    this.#entries.set(base, entry);
    this.#news();
    return entry;
  }

  /** A replacement is full: all that is lost of it is known. */
  filled(base: Hva, lost: readonly number[]): void {
    const entry = this.#entries.get(base);
    // A reset may have been quicker: then the large page is back.
    if (entry === undefined) return;
    for (const offset of lost) entry.lost.add(offset);
    this.#news();
  }

  /** @returns offsets that were lost when it was replaced or filled, as far as is known; undefined if nothing is known of it */
  lost(base: Hva): ReadonlySet<number> | undefined {
    return this.#entries.get(base)?.lost;
  }

  /** The bad page leaves its file by our hand. */
  givenBack(base: Hva): void {
    const entry = this.#entries.get(base);
    if (entry !== undefined) entry.givenBack = true;
  }

  /** The guest was reset, as QEMU or the ledger says. @param lost what was lost then */
  reset(base: Hva, lost: Iterable<number>): void {
    const entry = this.#at(base);
    for (const offset of lost) {
      entry.lost.add(offset);
      entry.forgiven.add(offset);
    }
  }

  /** A reset that nobody has told of was found out. */
  resetFound(base: Hva): void {
    this.#at(base).due = true;
  }

  /** Whether such a reset still waits to be dealt with. */
  isDue(base: Hva): boolean {
    return this.#entries.get(base)?.due === true;
  }

  /** The large page is in its place again, or its memory was unplugged. */
  gone(base: Hva): void {
    this.#entries.delete(base);
  }

  /** These are like any other memory from now on: lost once more, they are not forgiven. */
  cleared(base: Hva, offsets: Iterable<number>): void {
    for (const offset of offsets) {
      this.#entries.get(base)?.lost.delete(offset);
      this.#entries.get(base)?.forgiven.delete(offset);
    }
  }

  /** The large page stays replaced for now. @param code why @returns whether that was not told before */
  stays(base: Hva, code: string): boolean {
    const entry = this.#at(base);
    const news = entry.why !== code;
    entry.due = false;
    entry.why = code;
    return news;
  }

  /** Offsets that nobody expects anything of, for a reset is known. */
  forgiven(base: Hva): readonly number[] {
    return [...(this.#entries.get(base)?.forgiven ?? [])].sort((left, right) => left - right);
  }

  /** Offsets that are forgiven if the file behind the large page was renewed: only a reset of the guest does that. */
  forgivable(base: Hva): readonly number[] {
    const entry = this.#entries.get(base);
    return entry === undefined || entry.givenBack ? [] : [...entry.lost];
  }

  /** Whether there is anything to be done about a reset that nobody has told of. */
  get anyPending(): boolean {
    return [...this.#entries.values()].some(({ lost, due }) => due || lost.size > 0);
  }

  #at(base: Hva): Entry {
    return this.#entries.get(base) ?? this.replaced(base, []);
  }
}
