/**
 * Which large page of which file a page frame belongs to. Has to be known before an error: the kernel takes a poisoned large page
 * out of the page tables, and with it what /proc/PID/pagemap could have told.
 *
 * One number a large page: 4 MiB for 1 TiB in pages of 2 MiB.
 */

import { type Pfn, pfn } from "../linux/address.js";
import { SMALL_PAGE } from "./large-page.js";

/** One large page, by its file. */
export interface FilePage {
  /** As {@link FrameIndex.ensure} was given it. */
  readonly file: string;
  /** Where it begins in the file, in bytes. */
  readonly offset: bigint;
}

/** 32 MiB of numbers, for 8 TiB in pages of 2 MiB. A process may map far more than there is; reports for the rest need a search. */
export const MOST_PAGES = 4_194_304;

interface FileFrames {
  readonly pageSize: number;
  /** First frame of each large page; -1 where it is not known. */
  frames: Float64Array;
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
    if (known !== undefined && known.pageSize === pageSize && known.frames.length >= pages) return;
    const others = [...this.#files].reduce(
      (sum, [name, { frames }]) => sum + (name === file ? 0 : frames.length),
      0,
    );
    if (others + pages > MOST_PAGES) return;
    const frames = new Float64Array(pages).fill(-1);
    if (known?.pageSize === pageSize) frames.set(known.frames);
    this.#files.set(file, { pageSize, frames });
  }

  /** Forgets all files but these. */
  retain(files: ReadonlySet<string>): void {
    for (const file of this.#files.keys()) if (!files.has(file)) this.#files.delete(file);
  }

  /** Notes where a large page is. @param frame its first */
  note(file: string, index: number, frame: Pfn): void {
    const known = this.#files.get(file);
    // 2^53 frames are 2^65 bytes: a number holds every frame exactly.
    if (known !== undefined && index < known.frames.length) known.frames[index] = Number(frame);
  }

  /** @param frame any frame, first or not, of a large page @returns undefined if it is none that is known */
  find(frame: Pfn): FilePage | undefined {
    for (const [file, { pageSize, frames }] of this.#files) {
      const each = BigInt(pageSize / SMALL_PAGE);
      const index = frames.indexOf(Number(pfn(frame - (frame % each))));
      if (index >= 0) return { file, offset: BigInt(index) * BigInt(pageSize) };
    }
    return undefined;
  }
}
