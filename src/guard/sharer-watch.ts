/**
 * Other processes that map the VM's RAM. Looking for them means reading every process's mappings, which is no work for the
 * moment of an error: it is done at attach, now and then, and once more before a large page is put back.
 *
 * A sharer that comes between two looks and is missed loses nothing: the kernel has unmapped the poisoned page from all
 * processes, so its access raises SIGBUS, with a recovery or without.
 */

import { messageOf } from "../errors.js";
import { type FileId, findMappers } from "../linux/procfs/mappers.js";

const PERIOD_MS = 30_000;

/** See the head of the file. */
export class SharerWatch implements Disposable {
  readonly #pid: number;
  readonly #files: readonly FileId[];
  #names: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param pid the VM @param files its large-page files */
  constructor(pid: number, files: readonly FileId[]) {
    this.#pid = pid;
    this.#files = files;
  }

  /** Looks now and from time to time. */
  start(): void {
    this.look();
    this.#timer = setInterval(() => this.look(), PERIOD_MS);
  }

  /** `1234 (virtiofsd)` for each, as of the last look. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Looks now. */
  look(): readonly string[] {
    try {
      const { mappers } = findMappers(this.#files, [this.#pid]);
      this.#names = mappers.map((mapper) => `${mapper.pid} (${mapper.comm.trim()})`);
    } catch (error) {
      // Not knowing is a doubt, and in doubt nothing is replaced.
      this.#names = [`unknown: ${messageOf(error)}`];
    }
    return this.#names;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
