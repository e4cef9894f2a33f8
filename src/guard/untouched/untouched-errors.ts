/**
 * Memory errors of one VM that nobody has touched yet: from the kernel's report to a large page of ours, waiting for its turn.
 *
 * Nothing here touches the VM. A wrong or forged report leads to one read of a file, no more.
 */

import type { WarningEvent } from "../../ledger/events.js";
import type { Hva } from "../../linux/address.js";
import { readHardwareCorrupted } from "../../linux/procfs/hugepages.js";
import { type KernelRelease, salvageSupport } from "../../linux/procfs/kernel-version.js";
import type { LargePage } from "../../recovery/large-page.js";
import { BadFrames } from "./bad-frames.js";
import { type ErrorReports, openErrorReports } from "./error-reports.js";
import { FrameWatch } from "./frame-watch.js";

/** A large page that the kernel has reported. */
export interface ReportedPage {
  /** Address of its first byte. */
  readonly base: Hva;
  /** When the report came, on performance.now()'s clock. */
  readonly since: number;
}

/** Reports often come in bursts: one search answers all of them. */
const SEARCH_DELAY_MS = 50;

/** See the head of the file. */
export class UntouchedErrors implements Disposable {
  readonly #frames: FrameWatch;
  readonly #wake: () => void;
  /** At most one entry for each large page of the VM. */
  readonly #waiting = new Map<Hva, number>();
  readonly #bad = new BadFrames();
  /** Whether every error so far was reported to us and found its large page, or was found by a search. */
  #complete = false;
  /** Large pages that a search has found: what is bad in them was not reported. */
  readonly #unreported = new Set<Hva>();
  /** Reports that were missed, or were of no large page that is known: most are of other memory of the host. */
  #misses = 0;
  #missesBeforeSearch = 0;
  #listening = false;
  #reports: ErrorReports | undefined;
  #searchSoon: NodeJS.Timeout | undefined;
  #unknownSince = 0;
  #closed = false;

  /** @param wake called when there is something to take */
  constructor(pid: number, wake: () => void) {
    this.#wake = wake;
    this.#frames = new FrameWatch(
      pid,
      (base) => {
        this.#unreported.add(base);
        this.#add(base, this.#unknownSince || performance.now());
      },
      (what) => this.#searched(what),
    );
  }

  /**
   * Begins to listen, before the VM is traced. Not at all on a kernel that cannot read a poisoned large page: nothing could be
   * done there.
   *
   * @param ended told when reports end before `close`
   * @returns what limits it
   */
  start(kernel: KernelRelease, ended: (warning: WarningEvent) => void): WarningEvent[] {
    if (salvageSupport(kernel) !== "ok") return [];
    this.#frames.start();
    this.#reports = openErrorReports({
      reported: (frame) => {
        const base = this.#frames.find(frame);
        if (base !== undefined) this.#bad.note(base, frame);
        // Of another process, or of a page that was touched or moved after we had looked.
        if (base === undefined) this.#missed();
        else this.#add(base, performance.now());
      },
      missed: () => this.#missed(),
      ended: () => {
        this.#listening = false;
        this.#complete = false;
        ended(noReports);
      },
    });
    this.#listening = this.#reports.source !== "none";
    this.#complete = this.#listening;
    // What was reported before we listened is in the memory itself: see docs/decisions/.
    if (hasBadMemory()) this.#missed();
    return this.#reports.source === "none" ? [noReports] : [];
  }

  /** @returns offsets of everything that is bad in a large page; none if there may be more than was reported */
  badIn({ base, size }: LargePage): number[] {
    // The last of several may be on its way.
    this.#reports?.drain();
    return this.#complete && !this.#unreported.has(base) ? this.#bad.in(base, size) : [];
  }

  /** Takes the page that has waited longest; undefined if there is none. */
  take(): ReportedPage | undefined {
    for (const [base, since] of this.#waiting) {
      this.#waiting.delete(base);
      return { base, since };
    }
    return undefined;
  }

  /** Whether there is something to take. */
  get any(): boolean {
    return this.#waiting.size > 0;
  }

  #add(base: Hva, since: number): void {
    if (this.#closed || this.#waiting.has(base)) return;
    this.#waiting.set(base, since);
    this.#wake();
  }

  #missed(): void {
    this.#misses += 1;
    this.#complete = false;
    this.#searchLater();
  }

  /** The kernel unmaps a poisoned large page, so a search that began after a report finds what that was for. */
  #searched(what: "begun" | "done"): void {
    if (what === "begun") this.#missesBeforeSearch = this.#misses;
    else if (this.#misses === this.#missesBeforeSearch) this.#complete = this.#listening;
  }

  #searchLater(): void {
    if (this.#closed || this.#searchSoon !== undefined) return;
    this.#unknownSince = performance.now();
    this.#searchSoon = setTimeout(() => {
      this.#searchSoon = undefined;
      this.#frames.search();
    }, SEARCH_DELAY_MS);
    this.#searchSoon.unref();
  }

  /** Stops listening. What still waits is left to the first touch. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.clear();
    clearTimeout(this.#searchSoon);
    this.#frames[Symbol.dispose]();
    this.#reports?.close();
  }
}

const noReports: WarningEvent = {
  event: "warning",
  code: "HM_REPORTS_NONE",
  message:
    "Neither tracefs nor /dev/kmsg tells of memory errors here: each is dealt with when the page is touched for the first time. " +
    "Mount tracefs at /sys/kernel/tracing",
};

function hasBadMemory(): boolean {
  try {
    return (readHardwareCorrupted() ?? 0) > 0;
  } catch {
    return true;
  }
}
