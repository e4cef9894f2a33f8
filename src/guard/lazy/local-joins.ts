/** Joining on the guard's own thread, if the fill thread should die. */

import { unregisterRange } from "../../linux/userfaultfd.js";
import type { FillResult } from "./fill-messages.js";
import { type JoinJob, RangeJoins } from "./range-joins.js";

/** Who waits for it. */
export interface LocalJoinsListener {
  /** Whether anybody does still. */
  wanted(): boolean;
  joined(): void;
  failed(error: unknown): void;
  done(result: FillResult): void;
}

/**
 * One range in each turn of the event loop: errors come first.
 *
 * @param userfaultfd of the replacement, in which every 4 KiB is in place or marked
 */
export function joinInTurns(job: JoinJob, userfaultfd: number, listener: LocalJoinsListener): void {
  const joins = new RangeJoins(job, () => listener.joined());
  const turn = (): void => {
    if (!listener.wanted()) return;
    try {
      const result = joins.step();
      if (result !== undefined) return listener.done(result);
    } catch (error) {
      return listener.failed(error);
    }
    setTimeout(turn);
  };
  try {
    // A fill thread that has died may not have come to this. Nobody can find a hole.
    unregisterRange(userfaultfd, job.base, job.size);
  } catch {
    // It ends with the descriptors.
  }
  turn();
}
