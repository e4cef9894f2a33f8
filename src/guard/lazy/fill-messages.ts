/** What the guard says to the thread that serves and to the one that fills, and they to it. Plain data, cloned on the way. */

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

/** Named points in the thread that fills: nobody watches the replacement any more; one range of it was joined, or could not be. */
export type FillStep = "fill-unwatched" | "range-joined";

/** What such a thread is started with. */
export interface WorkerData {
  /** An eventfd that wakes it. */
  readonly wake: number;
  /** One 32-bit number that is raised with each message: looking at it costs nothing. */
  readonly news: SharedArrayBuffer;
}

/** To either thread. Each is followed by a wake-up. */
export type ToWorker =
  /** The descriptors of the order are its own until it says `left`. */
  | { readonly kind: "take"; readonly order: FillOrder }
  /** It lets go of this one, whatever it has of it. */
  | { readonly kind: "drop"; readonly id: number }
  /** To the one that fills: everything at once, whatever the rate. */
  | { readonly kind: "hurry" }
  /** To the one that fills: one of its orders may be complete. */
  | { readonly kind: "look" }
  /** It lets go of all it has, and ends. */
  | { readonly kind: "end" };

/** From the thread that serves. */
export type FromServer =
  /** It serves the faults of this one from now on. */
  | { readonly kind: "serving"; readonly id: number }
  /** Each 4 KiB is in place or marked: there is nothing left to wait for. */
  | { readonly kind: "complete"; readonly id: number };

/** From the thread that fills. */
export type FromFiller =
  /** Each 4 KiB is in place or marked: what is left is to join ranges. */
  | { readonly kind: "full"; readonly id: number; readonly lost: readonly number[] }
  | { readonly kind: "step"; readonly id: number; readonly step: FillStep }
  | { readonly kind: "filled"; readonly id: number; readonly result: FillResult }
  /** The VM is gone, or no longer maps the replacement: nobody waits for it any more. */
  | { readonly kind: "vanished"; readonly id: number };

/** From either. */
export type FromWorker =
  | FromServer
  | FromFiller
  /** It goes on trying. */
  | { readonly kind: "trouble"; readonly id: number; readonly code: string; readonly message: string }
  /** It does not use the descriptors of this order any more. */
  | { readonly kind: "left"; readonly id: number };

/** What became of a replacement. */
export interface FillResult {
  /** Offsets of the lost 4 KiB, ascending. */
  readonly lost: readonly number[];
  /** Ranges of 2 MiB without a lost page, and how many of them are one large page now. */
  readonly ranges: number;
  readonly collapsed: number;
}
