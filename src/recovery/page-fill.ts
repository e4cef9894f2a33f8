/**
 * Filling one replacement that is in place already: 4 KiB by 4 KiB for those who wait for them, in pieces for the rest.
 *
 * The poisoned large page stays readable through its file and serves as backing store. Every page appears by one
 * UFFDIO_COPY, which refuses to overwrite: whoever was quicker, and whatever the guest has written since, stays. So any number
 * of these may work on the same replacement at once, from any thread or process.
 */

import { type Hva, hva } from "../linux/address.js";
import { errno, errnoName } from "../linux/errno.js";
import { allocateNative } from "../linux/native-memory.js";
import { copyPages, poisonPage, readMessages } from "../linux/userfaultfd-fill.js";
import { SMALL_PAGE } from "./large-page.js";
import { largePageReader, type PageSource, type ReadPiece } from "./large-page-reader.js";
import { RecoveryError } from "./recovery-error.js";

/** What has to be filled. Plain data: it is passed between threads. */
export interface FillJob {
  /** The userfaultfd that watches the replacement; works on addresses of the VM. */
  readonly userfaultfd: number;
  /** Where the replacement is, in the VM. */
  readonly base: Hva;
  readonly source: PageSource;
}

/** A page could not be put in place, and nobody else is to blame than the VM or the host. */
export class FillError extends RecoveryError {
  override readonly name: string = "FillError";
  readonly errno: number;

  /** @param request what was asked of the userfaultfd @param number the error number */
  constructor(request: string, number: number) {
    super("HM_FILL", `UFFDIO_${request}: a page of the replacement cannot be put in place`, {
      present: errnoName(number),
      expected: "a range that is registered, in a process that lives, and memory to fill it",
      remedy: "Free memory on the host, or raise the VM's memory limit",
    });
    this.errno = number;
  }

  /** Whether the VM has ended, or no longer maps some of the replacement and the rest is filled: then nobody waits for it. */
  get vanished(): boolean {
    return this.errno === errno.ESRCH || this.errno === errno.ENOENT;
  }
}

/** Largest piece that is copied in one go: whoever faults meanwhile waits for it. */
export const MOST_PIECE = 65_536;

/** So often in a row reading may fail with anything but EIO before what is needed counts as lost. */
const MOST_FAILURES = 20;

const buffer = allocateNative(MOST_PIECE);

/** See the head of the file. */
export class PageFill {
  readonly job: FillJob;
  readonly #read: ReadPiece;
  /** 1 for each 4 KiB that is in place or marked. */
  readonly #done: Uint8Array;
  readonly #lost = new Set<number>();
  /** Pages that somebody waits for. */
  readonly #waiting = new Set<number>();
  #missing: number;
  /** Whether some of it is no longer mapped. */
  #torn = false;
  #failures = 0;
  #cursor = 0;

  constructor(job: FillJob) {
    this.job = job;
    this.#read = largePageReader(job.source, buffer.address);
    this.#missing = job.source.size / SMALL_PAGE;
    this.#done = new Uint8Array(this.#missing);
  }

  /** Whether each 4 KiB is in place or marked as lost. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /** Whether somebody's page could not be put in place yet. */
  get someoneWaits(): boolean {
    return this.#waiting.size > 0;
  }

  /** Offsets of the lost 4 KiB found so far, ascending. */
  get lost(): number[] {
    return [...this.#lost].sort((left, right) => left - right);
  }

  /**
   * Gives everybody who waits their page; the pages behind it come next.
   *
   * @returns how many were served
   * @throws RecoveryError HM_SALVAGE_READ, HM_FILL: whoever waits is served by the next call
   */
  serve(): number {
    for (const message of readMessages(this.job.userfaultfd)) {
      if (message.kind !== "fault") continue;
      const at = Number(message.address - this.job.base);
      if (at >= 0 && at < this.job.source.size) this.#waiting.add(at - (at % SMALL_PAGE));
    }
    const before = this.#waiting.size;
    for (const page of this.#waiting) {
      this.#place(page, SMALL_PAGE);
      if (this.#done[page / SMALL_PAGE] === 0) continue;
      this.#waiting.delete(page);
      this.#cursor = page / SMALL_PAGE + 1;
    }
    this.#tellTorn();
    return before - this.#waiting.size;
  }

  /**
   * Fills the next piece of what is missing.
   *
   * @param most bytes of it, a multiple of 4096
   * @returns how many bytes that were
   * @throws RecoveryError HM_FILL
   */
  fillNext(most: number): number {
    const start = this.#nextMissing();
    if (start < 0) return 0;
    const limit = start + Math.min(most, MOST_PIECE) / SMALL_PAGE;
    let end = start;
    while (end < limit && this.#done[end] === 0) end += 1;
    this.#cursor = end;
    const placed = this.#place(start * SMALL_PAGE, (end - start) * SMALL_PAGE);
    this.#tellTorn();
    return placed;
  }

  #nextMissing(): number {
    if (this.#missing === 0) return -1;
    const ahead = this.#done.indexOf(0, this.#cursor);
    return ahead >= 0 ? ahead : this.#done.indexOf(0);
  }

  /** @returns bytes that are in place now, from `position` on; 0 while the VM changes its mappings */
  #place(position: number, size: number): number {
    const { userfaultfd, base } = this.job;
    const got = this.#readOrGiveUp(position, size);
    if (got === 0) {
      const error = poisonPage(userfaultfd, hva(base + BigInt(position)), SMALL_PAGE);
      if (!this.#goesOn("POISON", error)) return 0;
      if (error === 0) this.#lost.add(position);
      this.#note(position, SMALL_PAGE);
      return SMALL_PAGE;
    }
    let done = 0;
    while (done < got) {
      const to = hva(base + BigInt(position + done));
      const from = buffer.address + BigInt(done);
      let result = copyPages(userfaultfd, to, from, got - done);
      // Some of the range is not mapped any more: whether it is this page, only this page tells.
      if (result.errno === errno.ENOENT) result = copyPages(userfaultfd, to, from, SMALL_PAGE);
      const settled = result.errno === errno.EEXIST || result.errno === errno.ENOENT;
      const step = settled ? SMALL_PAGE : result.copied;
      if ((step === 0 || result.errno === errno.ENOENT) && !this.#goesOn("COPY", result.errno)) break;
      this.#note(position + done, step);
      done += step;
    }
    return done;
  }

  /**
   * A source that cannot be read at all is not the kernel's word that the page is bad. But whoever waits for it cannot wait for ever, and must
   * not get anything else: after some tries it counts as lost.
   */
  #readOrGiveUp(position: number, size: number): number {
    try {
      const got = this.#read(position, size);
      this.#failures = 0;
      return got;
    } catch (error) {
      this.#failures += 1;
      if (this.#failures <= MOST_FAILURES) throw error;
      return 0;
    }
  }

  /** @returns false for EAGAIN: the VM changes its mappings right now, and the page is tried again later */
  #goesOn(request: string, error: number): boolean {
    if (error === errno.EAGAIN) return false;
    if (error === errno.ENOENT) this.#torn = true;
    else if (error !== 0) throw new FillError(request, error);
    return true;
  }

  /** Where one page is gone, others may still be there, and wait: only when all of them are settled, nobody does. */
  #tellTorn(): void {
    if (this.#torn && this.complete) throw new FillError("COPY", errno.ENOENT);
  }

  #note(position: number, size: number): void {
    for (let page = position / SMALL_PAGE; page < (position + size) / SMALL_PAGE; page += 1) {
      if (this.#done[page] === 1) continue;
      this.#done[page] = 1;
      this.#missing -= 1;
    }
  }
}
