/**
 * Keeps the frame index of one VM's large pages up to date, in small slices beside everything else, and looks for poisoned large
 * pages where a report cannot tell: after reports that were missed, or from a time when nobody listened.
 */

import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Hva, hva, type Pfn } from "../../linux/address.js";
import { type HugetlbMapping, hugetlbMappings, mapFilesPath } from "../../linux/procfs/map-files.js";
import { type Mapping, readMaps } from "../../linux/procfs/maps.js";
import { PagemapReader } from "../../linux/procfs/pagemap-reader.js";
import { FrameIndex } from "../../recovery/frame-index.js";
import { SMALL_PAGE } from "../../recovery/large-page.js";
import { holdsPoison } from "../../recovery/poisoned.js";

/** Before the VM is traced this much may be done in one go; enough for about 14 GiB in pages of 2 MiB. */
const FIRST_SLICE_MS = 20;
const SLICE_MS = 0.5;
/** Large pages between two looks at the clock: some 20 µs. */
const CLOCK_EVERY = 16;
/** Rest between slices: a sweep takes at most a tenth of one processor. */
const REST_MS = 5;
/** A large page changes its frame when it is touched for the first time, and when the kernel moves it: both are rare. */
const PERIOD_MS = 600_000;
/** New RAM is looked for this often. */
const LOOK_MS = 30_000;

/** What a sweep does with a large page that is not in the page tables. */
type Absent = (base: Hva, mapping: HugetlbMapping) => Promise<void>;

/** See the head of the file. */
export class FrameWatch implements Disposable {
  readonly #pid: number;
  readonly #index = new FrameIndex();
  readonly #found: (base: Hva) => void;
  #ram: readonly HugetlbMapping[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  #searchWanted = false;
  #closed = false;
  #lastSweep = 0;

  readonly #searched: (what: "begun" | "done") => void;
  /** Whether a page could not be looked at in this search. */
  #unsure = false;

  /**
   * @param found told of poisoned large pages that a search has found, by the address of their first byte
   * @param searched told when a search begins, and when it has looked at every large page
   */
  constructor(pid: number, found: (base: Hva) => void, searched: (what: "begun" | "done") => void) {
    this.#pid = pid;
    this.#found = found;
    this.#searched = searched;
  }

  /** Begins; what fits into the first slice is known when this returns. */
  start(): void {
    // Not behind a promise: the first slice runs at once.
    this.#sweeping = this.#sweep(FIRST_SLICE_MS).catch(() => {});
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** @returns first byte of the VM's large page that holds a frame, undefined if it is none of its, or not known */
  find(frame: Pfn): Hva | undefined {
    const page = this.#index.find(frame);
    if (page === undefined) return undefined;
    for (const { mapping } of this.#ram) {
      const at = page.offset - mapping.offset;
      if (fileOf(mapping) === page.file && at >= 0n && at < mapping.end - mapping.start)
        return hva(mapping.start + at);
    }
    return undefined;
  }

  /** Reads every large page that is mapped but not present, soon: the poisoned ones are among them. */
  search(): void {
    if (this.#searchWanted) return;
    this.#searchWanted = true;
    this.#begin(async () => {
      // A report that comes from now on may be for a page that was passed already.
      this.#searchWanted = false;
      this.#unsure = false;
      this.#searched("begun");
      await this.#sweep(SLICE_MS, (base, mapping) => this.#probe(base, mapping));
      if (!this.#unsure && !this.#closed) this.#searched("done");
    });
  }

  #begin(sweep: () => Promise<void>): void {
    // The process may have gone, or its mappings changed meanwhile: the next sweep sees what is true then.
    this.#sweeping = this.#sweeping.then(() => (this.#closed ? undefined : sweep())).catch(() => {});
  }

  #look(): void {
    const now = performance.now();
    const before = signature(this.#ram);
    try {
      this.#readRam();
    } catch {
      return;
    }
    if (signature(this.#ram) !== before || now - this.#lastSweep > PERIOD_MS)
      this.#begin(() => this.#sweep(SLICE_MS));
  }

  #readRam(): void {
    const ram = hugetlbMappings(this.#pid, readMaps(this.#pid)).filter(({ mapping }) => mapping.shared);
    for (const { mapping, pageSize } of ram) {
      const end = mapping.offset + (mapping.end - mapping.start);
      this.#index.ensure(fileOf(mapping), pageSize, Number(end / BigInt(pageSize)));
    }
    this.#index.retain(new Set(ram.map(({ mapping }) => fileOf(mapping))));
    this.#ram = ram;
  }

  async #sweep(firstSliceMs: number, absent?: Absent): Promise<void> {
    this.#lastSweep = performance.now();
    this.#readRam();
    using pagemap = new PagemapReader(this.#pid);
    let until = performance.now() + firstSliceMs;
    for (const entry of this.#ram) {
      const { mapping, pageSize } = entry;
      const file = fileOf(mapping);
      const large = BigInt(pageSize);
      const pages = Number((mapping.end - mapping.start) / large);
      // Plain numbers: 1 TiB has half a million large pages.
      const firstOfFile = Number(mapping.offset / large);
      const firstPage = Number(mapping.start / BigInt(SMALL_PAGE));
      for (let index = 0; index < pages; index += 1) {
        const frame = pagemap.frameAt(firstPage + index * (pageSize / SMALL_PAGE));
        if (typeof frame === "number") this.#index.note(file, firstOfFile + index, frame);
        const probes = frame === "absent" && absent !== undefined;
        if (probes) await absent(hva(mapping.start + BigInt(index) * large), entry);
        else if (index % CLOCK_EVERY !== 0) continue;
        if (performance.now() < until) continue;
        await sleep(REST_MS, undefined, { ref: false });
        if (this.#closed) return;
        until = performance.now() + SLICE_MS;
      }
    }
  }

  async #probe(base: Hva, { mapping, pageSize }: HugetlbMapping): Promise<void> {
    let file: number;
    try {
      file = openSync(mapFilesPath(this.#pid, mapping), "r");
    } catch {
      // Split by a recovery in the meantime: search again, with the mappings as they are now.
      this.#unsure = true;
      return this.search();
    }
    try {
      const offset = mapping.offset + (base - mapping.start);
      if (await holdsPoison(file, offset, pageSize)) this.#found(base);
    } finally {
      closeSync(file);
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }
}

function fileOf({ device, inode }: Mapping): string {
  return `${device} ${inode}`;
}

function signature(ram: readonly HugetlbMapping[]): string {
  return ram.map(({ mapping }) => `${fileOf(mapping)} ${mapping.start} ${mapping.end}`).join();
}
