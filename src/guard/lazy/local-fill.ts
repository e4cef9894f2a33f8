/** Serving and filling on the guard's own thread: until the fill thread is there, and if it should die. */

import { type StopWatching, watchReadable } from "../../linux/native.js";
import { unregisterRange } from "../../linux/userfaultfd.js";
import { type FillJob, MOST_PIECE, PageFill } from "../../recovery/page-fill.js";
import type { FillResult } from "./fill-messages.js";

/** See the head of the file. */
export class LocalFill {
  readonly #fill: PageFill;
  readonly #trouble: (error: unknown) => void;
  #stopWatching: StopWatching | undefined;
  #stopped = false;

  /** Begins to serve. @param trouble told what fails; it goes on trying */
  constructor(job: FillJob, trouble: (error: unknown) => void) {
    this.#fill = new PageFill(job);
    this.#trouble = trouble;
    this.#stopWatching = watchReadable(job.userfaultfd, () => this.#serve());
    this.#serve();
  }

  #serve(): void {
    if (this.#stopped) return;
    try {
      this.#fill.serve();
    } catch (error) {
      this.#trouble(error);
    }
  }

  /** Fills everything, a little in each turn of the event loop. @param done told the result */
  fillAll(done: (result: FillResult) => void): void {
    if (this.#stopped) return;
    let rest = 0;
    try {
      this.#fill.serve();
      this.#fill.fillNext(MOST_PIECE);
      if (this.#fill.complete) {
        const { userfaultfd, base, source } = this.#fill.job;
        // Every 4 KiB is in place or marked: nobody can find a hole where nobody watches any more.
        unregisterRange(userfaultfd, base, source.size);
        this.stop();
        return done({ lost: this.#fill.lost, ranges: 0, collapsed: 0 });
      }
    } catch (error) {
      this.#trouble(error);
      rest = 100;
    }
    setTimeout(() => this.fillAll(done), rest);
  }

  /** Leaves it to somebody else. */
  stop(): void {
    this.#stopped = true;
    this.#stopWatching?.();
    this.#stopWatching = undefined;
  }
}
