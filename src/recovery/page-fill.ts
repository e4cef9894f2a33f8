/**
 * Filling one replacement that is in place already: 4 KiB by 4 KiB for those who wait for them, in pieces for the rest.
 *
 * The poisoned large page stays readable through its file and serves as backing store. Every page appears by one
 * UFFDIO_COPY, which refuses to overwrite a page: whoever was quicker, and whatever the guest has written since, stays. So any number
 * of these may work on the same replacement at once, from any thread or process; threads of one guard share what they know of it. The marker of a
 * lost page it does overwrite (mm/userfaultfd.c mfill_atomic_install_pte), so what is known to be lost is not read again.
 */

import { type Hva, hva } from "../linux/address.js";
import { errno, errnoName } from "../linux/errno.js";
import { allocateNative } from "../linux/native-memory.js";
import { unregisterRange } from "../linux/userfaultfd.js";
import { copyPages, poisonPage, readMessages, wakeAll } from "../linux/userfaultfd-fill.js";
import { FillProgress } from "./fill-progress.js";
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
  /** From newProgress, of this size. */
  readonly progress: SharedArrayBuffer;
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

/** Largest piece that is copied in one go. */
export const MOST_PIECE = 65_536;

/** So often reading a page may fail with anything but EIO before it counts as lost for whoever waits for it. */
const MOST_FAILURES = 20;

const buffer = allocateNative(MOST_PIECE);

/** See the head of the file. */
export class PageFill {
  readonly job: FillJob;
  readonly #read: ReadPiece;
  readonly #progress: FillProgress;
  /** Offsets of pages that somebody waits for, and how often reading them has failed. */
  readonly #waiting = new Map<number, number>();
  #cursor = 0;

  constructor(job: FillJob) {
    this.job = job;
    this.#read = largePageReader(job.source, buffer.address);
    this.#progress = new FillProgress(job.progress);
  }

  /** Whether each 4 KiB is in place or marked as lost, by whomever. */
  get complete(): boolean {
    return this.#progress.complete;
  }

  /** Whether somebody's page could not be put in place yet. */
  get someoneWaits(): boolean {
    return this.#waiting.size > 0;
  }

  /** Offsets of the lost 4 KiB found so far, ascending. */
  get lost(): number[] {
    return this.#progress.lost;
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
      const position = at - (at % SMALL_PAGE);
      if (at >= 0 && at < this.job.source.size && !this.#waiting.has(position))
        this.#waiting.set(position, 0);
    }
    const before = this.#waiting.size;
    let failure: unknown;
    for (const [position, failures] of this.#waiting) {
      try {
        // Also where it was settled before: the VM may have discarded it since.
        if (this.#place(position, SMALL_PAGE) === 0) continue;
      } catch (error) {
        if (error instanceof FillError) throw error;
        this.#waiting.set(position, failures + 1);
        failure = error;
        // That is not the kernel's word that the page is bad, but whoever waits for it cannot wait for ever, and must not get anything else. What
        // nobody waits for is never given up: it may be read one day, if only by the next guard.
        if (failures < MOST_FAILURES || this.#mark(position) === 0) continue;
      }
      this.#waiting.delete(position);
      this.#progress.goOnAt(position / SMALL_PAGE + 1);
    }
    if (failure !== undefined && this.someoneWaits) throw failure;
    return before - this.#waiting.size;
  }

  /**
   * Fills the next piece of what is missing.
   *
   * @param most bytes of it, a multiple of 4096
   * @returns how many bytes that were
   * @throws RecoveryError HM_SALVAGE_READ, HM_FILL
   */
  fillNext(most: number): number {
    const start = this.#progress.nextMissing(this.#progress.takeNext() ?? this.#cursor);
    if (start < 0) return 0;
    const count = this.#progress.missingFrom(start, Math.min(most, MOST_PIECE) / SMALL_PAGE);
    this.#cursor = start + count;
    return this.#place(start * SMALL_PAGE, count * SMALL_PAGE);
  }

  /**
   * Ends the watch over a complete replacement. Nobody can find a hole where nobody watches any more.
   *
   * @throws FillError that says `vanished` if a part is no longer mapped: then it is watched until its userfaultfd is closed;
   *   LinuxError HM_USERFAULTFD
   */
  end(): void {
    if (this.#progress.torn) throw new FillError("COPY", errno.ENOENT);
    const { userfaultfd, base, source } = this.job;
    // It also wakes all who wait.
    unregisterRange(userfaultfd, base, source.size);
  }

  /** @returns bytes that are settled now, from `position` on; 0 while the VM changes its mappings */
  #place(position: number, size: number): number {
    if (size === 0) return 0;
    const { userfaultfd, base } = this.job;
    if (this.#progress.isLost(position / SMALL_PAGE)) return this.#mark(position);
    const got = this.#read(position, size);
    if (got === 0) return this.#mark(position);
    let done = 0;
    while (done < got) {
      const to = hva(base + BigInt(position + done));
      const from = buffer.address + BigInt(done);
      let result = copyPages(userfaultfd, to, from, got - done);
      // Some of the range is not mapped any more: whether it is this page, only this page tells.
      if (result.errno === errno.ENOENT) result = copyPages(userfaultfd, to, from, SMALL_PAGE);
      const settled = result.errno === errno.EEXIST || result.errno === errno.ENOENT;
      const step = settled ? SMALL_PAGE : result.copied;
      if (result.errno === errno.EEXIST) this.#wake(position + done);
      else if (step === 0 || settled) {
        if (!this.#goesOn("COPY", result.errno, position + done)) break;
      }
      this.#progress.notePresent((position + done) / SMALL_PAGE, step / SMALL_PAGE);
      done += step;
    }
    return done;
  }

  /** @returns as #place */
  #mark(position: number): number {
    const page = position / SMALL_PAGE;
    const known = this.#progress.isSettled(page);
    const error = poisonPage(this.job.userfaultfd, hva(this.job.base + BigInt(position)), SMALL_PAGE);
    if (error === errno.EEXIST) this.#wake(position);
    else if (!this.#goesOn("POISON", error, position)) return 0;
    if (error === errno.ENOENT) this.#progress.notePresent(page, 1);
    // What is there already is a marker of somebody before, unless another of these has found the bytes still good.
    else if (error === 0 || !known) this.#progress.noteLost(page);
    return SMALL_PAGE;
  }

  /** What another has put in place in the middle of a larger piece wakes who waits for it at the end of that piece only. */
  #wake(position: number): void {
    wakeAll(this.job.userfaultfd, hva(this.job.base + BigInt(position)), SMALL_PAGE);
  }

  /** @returns false for EAGAIN: the VM changes its mappings right now, and the page is tried again later */
  #goesOn(request: string, error: number, position: number): boolean {
    if (error === errno.EAGAIN) return false;
    // Where one page is gone, others may still be there, and wait. One that is settled is only no longer watched: another has ended that.
    if (error === errno.ENOENT) {
      if (!this.#progress.isSettled(position / SMALL_PAGE)) this.#progress.noteTorn();
    } else if (error !== 0) throw new FillError(request, error);
    return true;
  }
}
