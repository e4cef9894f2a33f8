/**
 * Which large page of which file a page frame belongs to. Has to be known before an error: the kernel takes a poisoned large page
 * out of the page tables, and with it what /proc/PID/pagemap could have told.
 *
 * Four bytes a large page, where any is known: 2 MiB for 1 TiB in pages of 2 MiB.
 */

import type { Pfn } from "../linux/address.js";
import { SMALL_PAGE } from "./large-page.js";

/** One large page, by its file. */
export interface FilePage {
  /** As {@link FrameIndex.ensure} was given it. */
  readonly file: string;
  /** Where it begins in the file, in bytes. */
  readonly offset: bigint;
}

/** 16 MiB of numbers, for 8 TiB in pages of 2 MiB. A process may map far more than there is; reports for the rest need a search. */
export const MOST_PAGES = 4_194_304;

/** Large pages whose numbers lie together: 8 GiB of pages of 2 MiB. */
const BLOCK = 4096;
/** Large frames are counted from 1 on, in 32 bits: 8 PiB of pages of 2 MiB, and x86-64 has no more than 4 PiB (52 bits of address). */
const MOST_NUMBER = 0xffff_ffff;

interface FileFrames {
  readonly pageSize: number;
  /** How many large pages. */
  pages: number;
  /** By large page, 4096 together: the number of its frame in large frames, and one; 0 where it is not known. Nothing where none is. */
  readonly blocks: (Uint32Array | undefined)[];
}

/** See the head of the file. */
export class FrameIndex {
  readonly #files = new Map<string, FileFrames>();

  /**
   * Makes room. What is known already stays.
   *
   * @param file names it
   * @param pageSize bytes of its large pages
   * @param pages how many of them, from the beginning of the file
   */
  ensure(file: string, pageSize: number, pages: number): void {
    const known = this.#files.get(file);
    if (known !== undefined && known.pageSize === pageSize && known.pages >= pages) return;
    let others = 0;
    for (const [name, one] of this.#files) if (name !== file) others += one.pages;
    if (others + pages > MOST_PAGES) return;
    if (known?.pageSize === pageSize) known.pages = pages;
    else this.#files.set(file, { pageSize, pages, blocks: [] });
  }

  /** Forgets all files but these. */
  retain(files: ReadonlySet<string>): void {
    for (const file of this.#files.keys()) if (!files.has(file)) this.#files.delete(file);
  }

  /**
   * Notes where a large page is. One that cannot be is not noted: a report for it then needs a search.
   *
   * @param index which large page of the file
   * @param frame its first frame. A plain number, because there is one for each of many large pages: frames have 40 bits
   */
  note(file: string, index: number, frame: number): void {
    const known = this.#files.get(file);
    if (known === undefined || index >= known.pages) return;
    const number = frame / (known.pageSize / SMALL_PAGE) + 1;
    if (!Number.isInteger(number) || number < 1 || number > MOST_NUMBER) return;
    const block = Math.floor(index / BLOCK);
    known.blocks[block] ??= new Uint32Array(BLOCK);
    const numbers = known.blocks[block];
    if (numbers !== undefined) numbers[index % BLOCK] = number;
  }

  /** @param frame any frame, first or not, of a large page @returns undefined if it is none that is known */
  find(frame: Pfn): FilePage | undefined {
    for (const [file, { pageSize, blocks }] of this.#files) {
      const number = Number(frame / BigInt(pageSize / SMALL_PAGE)) + 1;
      // More than 32 bits are found in no array of 32 bits.
      for (const [block, numbers] of blocks.entries()) {
        const index = numbers?.indexOf(number) ?? -1;
        if (index >= 0) return { file, offset: BigInt(block * BLOCK + index) * BigInt(pageSize) };
      }
    }
    return undefined;
  }
}
