/** Serving and filling on the guard's own thread: until the threads that do it are there, and if one of them should die. */

import { type StopWatching, watchReadable } from "../../linux/native.js";
import { type FillJob, MOST_PIECE, PageFill } from "../../recovery/page-fill.js";
import { MemoryGate } from "./memory-gate.js";

/** Until a page that could not be put in place is tried again, in milliseconds. */
const RETRY_MS = 2;
/** After trouble, and while memory is short. */
const REST_MS = 100;

/** See the head of the file. */
export class LocalFill {
  readonly #fill: PageFill;
  readonly #trouble: (error: unknown) => void;
  #stopWatching: StopWatching | undefined;
  readonly #memory: MemoryGate;
  #filled = 0;
  #lastGain = performance.now();
  #stopped = false;
  #retry: NodeJS.Timeout | undefined;

  /** Begins to serve. @param pid the VM @param trouble told what fails; it goes on trying */
  constructor(pid: number, job: FillJob, trouble: (error: unknown) => void) {
    this.#fill = new PageFill(job);
    this.#memory = new MemoryGate(pid);
    this.#trouble = trouble;
    this.#stopWatching = watchReadable(job.userfaultfd, () => this.serve());
    this.serve();
  }

  /** Milliseconds since it has last given a page to anybody, or put one in place for whoever comes. */
  get idle(): number {
    return performance.now() - this.#lastGain;
  }

  #gained(count: number): void {
    if (count > 0) this.#lastGain = performance.now();
  }

  /** Gives everybody who waits their page, now. */
  serve(): void {
    if (this.#stopped) return;
    let again = RETRY_MS;
    try {
      this.#gained(this.#fill.serve());
    } catch (error) {
      again = REST_MS;
      this.#trouble(error);
    }
    if (this.#fill.someoneWaits && !this.#stopped) this.#retry ??= setTimeout(() => this.#again(), again);
  }

  #again(): void {
    this.#retry = undefined;
    this.serve();
  }

  /** Fills everything, a little in each turn of the event loop. @param done told the lost 4 KiB, ascending, when nobody watches it any more */
  fillAll(done: (lost: readonly number[]) => void): void {
    if (this.#stopped) return;
    let rest = 0;
    try {
      this.#gained(this.#fill.serve());
      if (this.#memory.allows(this.#filled, performance.now())) {
        const placed = this.#fill.fillNext(MOST_PIECE);
        this.#filled += placed;
        this.#gained(placed);
      } else rest = REST_MS;
      if (this.#fill.complete) {
        this.#fill.end();
        this.stop();
        return done(this.#fill.lost);
      }
    } catch (error) {
      this.#trouble(error);
      rest = REST_MS;
    }
    if (rest === 0) setImmediate(() => this.fillAll(done));
    else setTimeout(() => this.fillAll(done), rest);
  }

  /** Leaves it to somebody else. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#memory[Symbol.dispose]();
  }
}
