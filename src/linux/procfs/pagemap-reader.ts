/** Single words of /proc/PID/pagemap, one after the other, through one descriptor. */

import { closeSync, openSync, readSync } from "node:fs";
import type { Hva } from "../address.js";
import { decodePagemap, PAGE_SIZE, type PagemapEntry } from "./pagemap.js";
import { procPath, readError } from "./proc-file.js";

/** Bit 63, in the upper half of a word. */
const PRESENT = 2 ** 31;
/** Bits 32 to 54. */
const HIGH_OF_FRAME = 0x7f_ffff;

/**
 * See the head of the file. The file is opened by the first question, and again by the first one after it was closed. Like /proc/PID/maps
 * it stands for the memory that the process had then; after an exec there is nothing to read any more.
 */
export class PagemapReader implements Disposable {
  readonly #path: string;
  #fd: number | undefined;
  readonly #word: Buffer = Buffer.alloc(8);
  /** The same bytes, low half first. */
  readonly #halves: Uint32Array = new Uint32Array(this.#word.buffer, this.#word.byteOffset, 2);

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
    const page = Number(address / BigInt(PAGE_SIZE));
    return this.#read(page) ? decodePagemap(this.#word.readBigUInt64LE(0)) : undefined;
  }

  /**
   * The same for whoever looks at very many pages: without anything to be thrown away.
   *
   * @param page number of a page: its address in units of 4096 bytes
   * @returns its frame number (bits 0 to 54, of which machines have 40); `absent` where the page tables have none; undefined if neither
   *   can be told
   * @throws LinuxError HM_PROC_…
   */
  frameAt(page: number): number | "absent" | undefined {
    if (!this.#read(page)) return undefined;
    const [low = 0, high = 0] = this.#halves;
    if (high < PRESENT) return "absent";
    const frame = (high & HIGH_OF_FRAME) * 2 ** 32 + low;
    return frame === 0 ? undefined : frame;
  }

  #read(page: number): boolean {
    try {
      this.#fd ??= openSync(this.#path, "r");
      return readSync(this.#fd, this.#word, 0, 8, page * 8) === 8;
    } catch (error) {
      throw readError(this.#path, error);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
