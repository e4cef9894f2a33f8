import type { Fill } from "../ledger/events.js";

/** A large page that is out of its place: what is known of its content, and what is left to do. */
export interface Replaced {
  readonly fill: Fill;
  /** Offsets of the lost 4 KiB, ascending; of a lazy replacement those known so far. */
  readonly lost: readonly number[];
  /** Bytes that are in the replacement. */
  readonly bytes: number;
  /** Lets the filling begin, once the thread at the error goes on; nothing for an eager replacement. Never throws. */
  begin(): void;
}
