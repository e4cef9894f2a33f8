/** Single words of /proc/PID/pagemap, one after the other, through one descriptor. */

import { closeSync, openSync, readSync } from "node:fs";
import type { Hva } from "../address.js";
import { decodePagemap, PAGE_SIZE, type PagemapEntry } from "./pagemap.js";
import { procPath, readError } from "./proc-file.js";

/**
 * See the head of the file. The file is opened by the first question, and again by the first one after it was closed. Like /proc/PID/maps
 * it stands for the memory that the process had then; after an exec there is nothing to read any more.
 */
export class PagemapReader implements Disposable {
  readonly #path: string;
  #fd: number | undefined;
  readonly #word: Buffer = Buffer.alloc(8);

  /** @throws LinuxError HM_BAD_PID */
  constructor(pid: number) {
    this.#path = procPath(pid, "pagemap");
  }

  /**
   * @param address any address of a page; the first of a large page for its first frame
   * @returns undefined past the end of user space, or when the process has ended
   * @throws LinuxError HM_PROC_…
   */
  at(address: Hva): PagemapEntry | undefined {
    try {
      this.#fd ??= openSync(this.#path, "r");
      const got = readSync(this.#fd, this.#word, 0, 8, Number((address / BigInt(PAGE_SIZE)) * 8n));
      return got === 8 ? decodePagemap(this.#word.readBigUInt64LE(0)) : undefined;
    } catch (error) {
      throw readError(this.#path, error);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
