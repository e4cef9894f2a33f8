/**
 * The self-test itself: poisons 4 KiB of a large page that nobody uses, and reads the large page back through its file with the code
 * that a recovery uses. Runs in a process of its own (trial-process.ts): should a kernel kill whoever does this, it is not doctor.
 */

import { readSync, writeFileSync } from "node:fs";
import { HugemendError, messageOf } from "../../../errors.js";
import { hva, type Pfn } from "../../../linux/address.js";
import { writeAt } from "../../../linux/file-transfer.js";
import { canUnpoison, poisonMapped, unpoison } from "../../../linux/hwpoison.js";
import { createLargePageFile, createMemfd, type LargePageFile } from "../../../linux/large-page-file.js";
import { closeDescriptor } from "../../../linux/pidfd.js";
import { readHardwareCorrupted, readHugepagePools } from "../../../linux/procfs/hugepages.js";
import { readPagemap } from "../../../linux/procfs/pagemap.js";
import { SystemCallError } from "../../../linux/system-call.js";
import { SMALL_PAGE } from "../../../recovery/large-page.js";
import { salvage } from "../../../recovery/salvage.js";
import type { Leftover, TrialReport } from "./trial-report.js";
import type { Seen, SeenRun } from "./verdict.js";

/**
 * @param pageSize bytes of the large page
 * @param onPoison called right before the page is poisoned
 * @returns what was seen, and what could not be undone
 */
export function runTrial(pageSize: number, onPoison: () => void): TrialReport {
  const before = readHost(pageSize);
  let file: LargePageFile;
  try {
    file = createLargePageFile(pageSize);
  } catch (error) {
    return { unsupported: `no large page could be had: ${messageOf(error)}` };
  }
  // In the middle: neither the first frame, which stands for the whole large page in some places of the kernel, nor a border.
  const bad = pageSize / SMALL_PAGE / 2;
  let frame: Pfn | undefined;
  let mapped = true;
  try {
    fill(file.bytes);
    frame = readPagemap(process.pid, hva(file.address), 1)[0]?.pfn;
    // Without it the poison could not be taken off again. The page goes back when this process ends, as at any return.
    if (frame === undefined) return { unsupported: "the large page's frame number cannot be read" };
    onPoison();
    const refused = poison(file.address + BigInt(bad * SMALL_PAGE));
    file.unmap();
    mapped = false;
    const runs = readBack(file.descriptor, pageSize);
    file.close();
    const leftover = clean(pageSize, frame, bad, before);
    if (refused !== undefined && runs.every(({ seen }) => seen === "right"))
      return { unsupported: `the kernel took no poison: ${refused}`, leftover };
    return { runs, bad, leftover };
  } catch (error) {
    if (mapped) file.unmap();
    file.close();
    const leftover = frame === undefined ? undefined : clean(pageSize, frame, bad, before);
    return { unsupported: messageOf(error), ...(leftover !== undefined && { leftover }) };
  }
}

/**
 * @param address of the 4 KiB
 * @returns what the kernel said against it. The page may be poisoned all the same: some kernels tell so that their handling of the error
 *   did not go well
 */
function poison(address: bigint): string | undefined {
  try {
    poisonMapped(address, SMALL_PAGE);
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return error.message;
    throw error;
  }
}

/** What page `index` holds: no two alike, none of zeros. */
function pattern(index: number): Buffer {
  const page = Buffer.alloc(SMALL_PAGE, (index % 255) + 1);
  page.writeUInt32LE(index + 1, 0);
  page.writeUInt32LE(~index >>> 0, SMALL_PAGE - 4);
  return page;
}

function fill(bytes: Buffer): void {
  for (let index = 0; index * SMALL_PAGE < bytes.length; index += 1)
    pattern(index).copy(bytes, index * SMALL_PAGE);
}

/** Salvages the large page into a file of small ones, and looks at each of them. */
function readBack(source: number, pageSize: number): SeenRun[] {
  const pages = pageSize / SMALL_PAGE;
  const target = createMemfd("hugemend self-test copy");
  try {
    const { lost } = salvage(
      { file: source, offset: 0n, size: pageSize, pretendBad: [] },
      (from, size, position) => writeAt(target, from, size, BigInt(position)),
    );
    const errors = new Set(lost);
    const page = Buffer.alloc(SMALL_PAGE);
    const runs: SeenRun[] = [];
    for (let index = 0; index < pages; index += 1) {
      page.fill(0);
      readSync(target, page, 0, SMALL_PAGE, index * SMALL_PAGE);
      add(runs, errors.has(index * SMALL_PAGE) ? "error" : see(page, index));
    }
    return runs;
  } catch (error) {
    if (error instanceof HugemendError && error.code === "HM_SALVAGE_ALL_LOST")
      return [{ seen: "error", pages }];
    if (error instanceof HugemendError && error.code === "HM_SALVAGE_READ") return [{ seen: "wrong", pages }];
    throw error;
  } finally {
    closeDescriptor(target);
  }
}

function see(page: Buffer, index: number): Seen {
  if (page.equals(pattern(index))) return "right";
  return page.every((byte) => byte === 0) ? "zeros" : "wrong";
}

function add(runs: SeenRun[], seen: Seen): void {
  const last = runs.at(-1);
  if (last?.seen === seen) runs[runs.length - 1] = { seen, pages: last.pages + 1 };
  else runs.push({ seen, pages: 1 });
}

interface HostCounts {
  /** Pages of the pool. */
  readonly pool: number;
  /** Those of them that can be had. */
  readonly free: number;
  /** Bytes taken out of use after memory errors. */
  readonly corrupted: number;
}

function readHost(pageSize: number): HostCounts {
  const pool = readHugepagePools().find((candidate) => candidate.pageSize === pageSize);
  return { pool: pool?.total ?? 0, free: pool?.free ?? 0, corrupted: readHardwareCorrupted() ?? 0 };
}

/** Once the file is closed: takes the poison off, and gives the pool its page back. */
function clean(pageSize: number, head: Pfn, bad: number, before: HostCounts): Leftover {
  if (canUnpoison()) {
    // SAFETY: a frame of the large page; which of the two bears the mark depends on whether the kernel has split it meanwhile.
    const exact = (head + BigInt(bad)) as Pfn;
    for (const frame of [exact, head]) unpoison(frame);
  }
  if (readHost(pageSize).pool === before.pool - 1) {
    try {
      // SAFETY: the number the pool had a moment ago; if we die right here it has one page less.
      writeFileSync(
        `/sys/kernel/mm/hugepages/hugepages-${pageSize / 1024}kB/nr_hugepages`,
        String(before.pool),
      );
    } catch {
      // Told below: the pool is short of a page.
    }
  }
  const after = readHost(pageSize);
  return {
    markedBytes: Math.max(after.corrupted - before.corrupted, 0),
    // Either the kernel has taken it out of the pool, or it stays there and is given to nobody (tried: 6.12). Never more than ours, for
    // others take pages as well.
    poolPages: Math.min(Math.max(before.pool - after.pool, before.free - after.free, 0), 1),
  };
}
