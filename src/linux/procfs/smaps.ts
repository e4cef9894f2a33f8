/**
 * /proc/PID/smaps: what /proc/PID/maps says, plus page sizes and flags of each mapping
 * (fs/proc/task_mmu.c, show_smap() and show_smap_vma_flags(); Documentation/filesystems/proc.rst).
 *
 * Producing it makes the kernel walk every page table entry of each mapping it prints. The reader of one entry
 * therefore stops as soon as that entry is complete.
 */

import { closeSync, openSync, readSync } from "node:fs";
import type { Hva } from "../address.js";
import { LinuxError } from "../linux-error.js";
import { type Mapping, parseMapsLine } from "./maps.js";
import { formatError, procPath, readError, readText } from "./proc-file.js";

/** One mapping with its details. */
export interface SmapsEntry {
  readonly mapping: Mapping;
  /** Size of the pages that back it, in bytes: 4096, 2097152, 1073741824. */
  readonly kernelPageSize: number;
  /**
   * Two-letter flags: `sh` shared, `ht` hugetlb, `lo` locked, `dc` not copied on fork, `dd` not dumped, `mg`
   * mergeable, `um` / `uw` userfaultfd missing / write-protect, `hg` / `nh` THP advice, and more.
   */
  readonly vmFlags: ReadonlySet<string>;
  /** Every `NAME: N kB` line, in bytes: `Rss`, `Shared_Hugetlb`, `Private_Hugetlb`, `Locked`, … */
  readonly bytes: ReadonlyMap<string, number>;
}

const FILE = "/proc/PID/smaps";

/** A details line starts with a capital letter; a mapping line with a lower-case hexadecimal digit. */
function isDetail(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 65 && code <= 90;
}

function parseEntry(text: string, from: number, to: number): SmapsEntry {
  const headEnd = text.indexOf("\n", from);
  const mapping = parseMapsLine(text, from, headEnd);
  const bytes = new Map<string, number>();
  let vmFlags: ReadonlySet<string> | undefined;
  for (let line = headEnd + 1; line < to; ) {
    const end = text.indexOf("\n", line);
    const colon = text.indexOf(":", line);
    if (colon < 0 || colon > end) throw formatError(FILE, "NAME: VALUE", text.slice(line, end));
    const name = text.slice(line, colon);
    const value = text.slice(colon + 1, end).trim();
    if (name === "VmFlags") vmFlags = new Set(value === "" ? [] : value.split(" "));
    else if (value.endsWith(" kB")) bytes.set(name, kilobytes(value, text.slice(line, end)));
    line = end + 1;
  }
  const kernelPageSize = bytes.get("KernelPageSize");
  if (kernelPageSize === undefined || kernelPageSize === 0 || vmFlags === undefined) {
    throw formatError(FILE, "KernelPageSize and VmFlags for each mapping", text.slice(from, headEnd));
  }
  return { mapping, kernelPageSize, vmFlags, bytes };
}

function kilobytes(value: string, line: string): number {
  const digits = value.slice(0, -3);
  const bytes = Number(digits) * 1024;
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(bytes)) throw formatError(FILE, "NAME: N kB", line);
  return bytes;
}

/** @returns index of the next mapping line after the one at `from`, or -1 when the text ends before it */
function nextEntry(text: string, from: number): number {
  for (let newline = text.indexOf("\n", from); newline >= 0; newline = text.indexOf("\n", newline + 1)) {
    if (newline + 1 < text.length && !isDetail(text, newline + 1)) return newline + 1;
  }
  return -1;
}

/**
 * @param text the whole of a /proc/PID/smaps
 * @returns one entry for each mapping, ascending
 * @throws LinuxError HM_PROC_FORMAT for anything the kernel would not print
 */
export function parseSmaps(text: string): SmapsEntry[] {
  if (text !== "" && !text.endsWith("\n"))
    throw formatError(FILE, "a newline after the last line", text.slice(-80));
  const entries: SmapsEntry[] = [];
  let previousEnd = 0n;
  for (let from = 0; from < text.length; ) {
    const next = nextEntry(text, from);
    const to = next < 0 ? text.length : next;
    const entry = parseEntry(text, from, to);
    if (entry.mapping.start < previousEnd) {
      throw formatError(
        FILE,
        "addresses that never go backwards",
        text.slice(from, text.indexOf("\n", from)),
      );
    }
    previousEnd = entry.mapping.end;
    entries.push(entry);
    from = to;
  }
  return entries;
}

/** @returns the details of all mappings of a process @throws LinuxError HM_PROC_… as in proc-file.ts */
export function readSmaps(pid: number): SmapsEntry[] {
  return parseSmaps(readText(procPath(pid, "smaps")));
}

/**
 * Reads only as far as needed.
 *
 * @param pid a process id
 * @param start first address of the mapping, as /proc/PID/maps gives it
 * @returns its entry, or undefined when no mapping starts there now
 * @throws LinuxError HM_PROC_… as in proc-file.ts
 */
export function readSmapsEntry(pid: number, start: Hva): SmapsEntry | undefined {
  const path = procPath(pid, "smaps");
  try {
    const fd = openSync(path, "r");
    try {
      return findEntry(fd, start);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw error instanceof LinuxError ? error : readError(path, error);
  }
}

function findEntry(fd: number, start: Hva): SmapsEntry | undefined {
  const chunk = Buffer.allocUnsafe(64 * 1024);
  const decoder = new TextDecoder("utf-8");
  let text = "";
  for (;;) {
    const count = readSync(fd, chunk, 0, chunk.length, null);
    text += decoder.decode(chunk.subarray(0, count), { stream: count > 0 });
    for (;;) {
      const next = text === "" ? -1 : nextEntry(text, 0);
      if (next < 0 && count > 0) break;
      if (text === "") return undefined;
      if (next < 0 && !text.endsWith("\n")) throw formatError(FILE, "a newline after the last line", text);
      const mapping = parseMapsLine(text, 0, text.indexOf("\n"));
      if (mapping.start === start) return parseEntry(text, 0, next < 0 ? text.length : next);
      if (mapping.start > start || next < 0) return undefined;
      text = text.slice(next);
    }
  }
}
