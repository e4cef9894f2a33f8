/**
 * /proc/PID/pagemap: one 64-bit word for each 4 KiB of address space
 * (Documentation/admin-guide/mm/pagemap.rst; fs/proc/task_mmu.c).
 *
 * Frame numbers read as 0 without CAP_SYS_ADMIN. A poisoned large page is no longer "present" here, so frame
 * numbers have to be read before the error.
 */

import { closeSync, openSync, readSync } from "node:fs";
import type { Hva, Pfn } from "../address.js";
import { LinuxError } from "../linux-error.js";
import { procPath, readError } from "./proc-file.js";

/** One decoded word. */
export interface PagemapEntry {
  /** Bit 63: in memory. */
  readonly present: boolean;
  /** Bit 62: a swap entry, which also means poison markers and migration entries. */
  readonly swapped: boolean;
  /** Bit 61: a page of a file or shared anonymous memory. */
  readonly file: boolean;
  /** Bit 58: a guard region (since 6.15). */
  readonly guard: boolean;
  /** Bit 57: write-protected through userfaultfd (since 5.13). */
  readonly uffdWriteProtected: boolean;
  /** Bit 56: mapped only here (since 4.2). */
  readonly exclusive: boolean;
  /** Bit 55: written since the soft-dirty bits were cleared. */
  readonly softDirty: boolean;
  /** Bits 0-54 of a present page: its frame number; undefined when not present or hidden from this user. */
  readonly pfn: Pfn | undefined;
}

/** Size of the page one word stands for, in bytes. x86-64 has no other; arm64 is prepared in linux/arch. */
export const PAGE_SIZE = 4096;

const PFN_MASK = (1n << 55n) - 1n;
const WORD_BYTES = 8;
/** 8 MiB of words describe 4 GiB of address space; more in one call is a mistake of the caller. */
const MAX_COUNT = 1_048_576;

function bit(word: bigint, index: bigint): boolean {
  return ((word >> index) & 1n) === 1n;
}

/** @param word a 64-bit word as read @returns its meaning */
export function decodePagemap(word: bigint): PagemapEntry {
  const present = bit(word, 63n);
  const frame = word & PFN_MASK;
  return {
    present,
    swapped: bit(word, 62n),
    file: bit(word, 61n),
    guard: bit(word, 58n),
    uffdWriteProtected: bit(word, 57n),
    exclusive: bit(word, 56n),
    softDirty: bit(word, 55n),
    // SAFETY: masked to 55 bits, so it is in range; the brand carries no run-time data.
    pfn: present && frame !== 0n ? (frame as Pfn) : undefined,
  };
}

/**
 * @param pid a process id
 * @param start address of the first page, a multiple of 4096
 * @param count how many pages, 1 to 1048576
 * @returns one entry for each page, in order
 * @throws LinuxError HM_PAGEMAP_RANGE for a bad start or count or a range past the end of user space; HM_PROC_…
 */
export function readPagemap(pid: number, start: Hva, count: number): PagemapEntry[] {
  if (start % BigInt(PAGE_SIZE) !== 0n || !Number.isInteger(count) || count < 1 || count > MAX_COUNT) {
    throw new LinuxError("HM_PAGEMAP_RANGE", "This range cannot be read from pagemap", {
      present: `${count} pages at 0x${start.toString(16)}`,
      expected: `1 to ${MAX_COUNT} pages at a multiple of ${PAGE_SIZE}`,
    });
  }
  const path = procPath(pid, "pagemap");
  const words = Buffer.alloc(count * WORD_BYTES);
  try {
    const fd = openSync(path, "r");
    try {
      const position = (start / BigInt(PAGE_SIZE)) * BigInt(WORD_BYTES);
      for (let length = 0; length < words.length; ) {
        const got = readSync(fd, words, length, words.length - length, position + BigInt(length));
        if (got === 0) {
          throw new LinuxError("HM_PAGEMAP_RANGE", "The range lies past the end of user space", {
            present: `${count} pages at 0x${start.toString(16)}`,
          });
        }
        length += got;
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw error instanceof LinuxError ? error : readError(path, error);
  }
  const entries: PagemapEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    entries.push(decodePagemap(words.readBigUInt64LE(index * WORD_BYTES)));
  }
  return entries;
}
