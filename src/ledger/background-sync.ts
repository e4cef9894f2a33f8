import { closeSync, constants, fdatasync, openSync } from "node:fs";

/**
 * Puts a file's bytes on the disk while its writer goes on: fdatasync(2) in a thread of libuv's pool. However often it is asked for,
 * at most one is under way and one more is wanted; that one begins when the event loop has its next turn, so never in the middle of
 * what the writer does.
 *
 * It has an open file of its own. The kernel tells a failed write-back once to each open file (Documentation/filesystems/vfs.rst,
 * "Handling errors during writeback"), so an error told here is told again to a writer that asks for itself, and none of the
 * two can swallow it for the other. And its descriptor lives for as long as a call uses it, whatever becomes of the writer's.
 */
export class BackgroundSync {
  readonly #fd: number;
  readonly #done: (error: Error | null, bytes: number) => void;
  readonly #begin: () => number;
  #next: NodeJS.Immediate | undefined;
  #running = false;
  #wanted = false;
  #ended = false;

  /**
   * @param fd the writer's descriptor; not taken over
   * @param begin called before each sync; says how many bytes have been written
   * @param done called after each sync with that number of bytes, and the error if they may not be on the disk
   * @throws Error of node:fs
   */
  constructor(fd: number, begin: () => number, done: (error: Error | null, bytes: number) => void) {
    this.#fd = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
    this.#begin = begin;
    this.#done = done;
  }

  /** What has been written by now is wanted on the disk. */
  request(): void {
    if (this.#running) this.#wanted = true;
    else if (!this.#ended) this.#next ??= setImmediate(() => this.#run());
  }

  #run(): void {
    this.#next = undefined;
    this.#running = true;
    this.#wanted = false;
    const bytes = this.#begin();
    fdatasync(this.#fd, (error) => {
      this.#running = false;
      if (this.#ended) closeSync(this.#fd);
      this.#done(error, bytes);
      if (this.#wanted) this.request();
    });
  }

  /** Nothing more is put on the disk from here. A sync that is under way ends by itself, then its descriptor is closed. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearImmediate(this.#next);
    if (!this.#running) closeSync(this.#fd);
  }
}
