/** What the guard and its fill thread say to each other. Plain data, cloned on the way. */

import type { FillJob } from "../../recovery/page-fill.js";

/** How a replacement is to be filled. */
export interface FillOrder {
  /** Names it in messages. */
  readonly id: number;
  readonly job: FillJob;
  /** The VM, which pays for the memory. */
  readonly pid: number;
  /** pidfd of the VM. */
  readonly processDescriptor: number;
  /** Whether full ranges of 2 MiB are joined to large pages afterwards. */
  readonly collapse: boolean;
  /** MiB a second in the background; Infinity without a limit; 0: only what is touched. */
  readonly rate: number;
  /** Whether it is full and watched by nobody already: a dead guard has not joined all of it. */
  readonly full: boolean;
  /**
   * Only where a guard is tried: a number that the guard raises when it has taken note of a named point. The thread stands there until then, so
   * that whatever happens to the guard happens at that very point.
   */
  readonly steps: SharedArrayBuffer | undefined;
}

/** Named points in the fill thread: nobody watches the replacement any more; one range of it was joined, or could not be. */
export type FillStep = "fill-unwatched" | "range-joined";

/** What the fill thread is started with. */
export interface FillThreadData {
  /** An eventfd that wakes it. */
  readonly wake: number;
  /** One 32-bit number that is raised with each message: looking at it costs nothing. */
  readonly news: SharedArrayBuffer;
}

/** To the fill thread. Each is followed by a wake-up. */
export type ToFiller =
  | { readonly kind: "fill"; readonly order: FillOrder }
  /** Everything at once, whatever the rate. */
  | { readonly kind: "hurry" }
  | { readonly kind: "end" };

/** From the fill thread. */
export type FromFiller =
  /** It serves the faults of this one from now on. */
  | { readonly kind: "serving"; readonly id: number }
  /** Each 4 KiB is in place or marked: what is left is to join ranges. */
  | { readonly kind: "full"; readonly id: number; readonly lost: readonly number[] }
  | { readonly kind: "step"; readonly id: number; readonly step: FillStep }
  | { readonly kind: "filled"; readonly id: number; readonly result: FillResult }
  /** It goes on trying. */
  | { readonly kind: "trouble"; readonly id: number; readonly code: string; readonly message: string }
  /** The VM is gone, or no longer maps the replacement: nobody waits for it any more. */
  | { readonly kind: "vanished"; readonly id: number };

/** What became of a replacement. */
export interface FillResult {
  /** Offsets of the lost 4 KiB, ascending. */
  readonly lost: readonly number[];
  /** Ranges of 2 MiB without a lost page, and how many of them are one large page now. */
  readonly ranges: number;
  readonly collapsed: number;
}
