/**
 * /proc/PID/maps: what is mapped where (fs/proc/task_mmu.c, show_map_vma(); Documentation/filesystems/proc.rst).
 *
 * On the way of every recovery, so it is written as one pass over character codes: no regular expression, no
 * split, one slice per path. The kernel promises that the addresses of one walk never go backwards, even while
 * the process maps and unmaps; a text that breaks this promise is refused.
 *
 * Paths are for people. Of all characters the kernel escapes only the newline (`\012`), so a file whose name
 * really contains the four characters `\012` reads the same, and " (deleted)" may be part of a name. To open
 * what is mapped use `map-files.ts`, never the path.
 */

import { closeSync, openSync, readSync } from "node:fs";
import type { Hva } from "../address.js";
import { formatError, procPath, readError } from "./proc-file.js";

/** One line of /proc/PID/maps: one virtual memory area. */
export interface Mapping {
  /** First byte. */
  readonly start: Hva;
  /** One past the last byte. */
  readonly end: Hva;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  /** MAP_SHARED; false means MAP_PRIVATE. */
  readonly shared: boolean;
  /** Where in the file `start` lies, in bytes; 0 for anonymous memory. */
  readonly offset: bigint;
  /** The filesystem's device as the kernel writes it, hexadecimal `major:minor`, for example `00:0f`. */
  readonly device: string;
  /** Inode number; 0 for anonymous memory. */
  readonly inode: bigint;
  /** As printed, with `\012` read as a newline; empty for anonymous memory, `[heap]` and the like for special ones. */
  readonly path: string;
}

const SPACE = 32;
const DASH = 45;
const COLON = 58;
const FORM = "START-END rwxp OFFSET MAJOR:MINOR INODE PATH";
const ADDRESS_LIMIT = 1n << 64n;

/** 0-15 for `0`-`9` and `a`-`f`, otherwise -1: the kernel prints lower case only. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}

/** @returns the index one past the run of hexadecimal digits that starts at `from` */
function hexEnd(text: string, from: number): number {
  let index = from;
  while (hexDigit(text.charCodeAt(index)) >= 0) index += 1;
  return index;
}

/** Value of the digits in [from, to): 13 digits stay exact in a number, which is four times faster than BigInt(text). */
function hexValue(text: string, from: number, to: number): bigint {
  if (to - from > 13) return BigInt(`0x${text.slice(from, to)}`);
  let value = 0;
  for (let index = from; index < to; index += 1) value = value * 16 + hexDigit(text.charCodeAt(index));
  return BigInt(value);
}

function decimalEnd(text: string, from: number): number {
  let index = from;
  for (;;) {
    const code = text.charCodeAt(index);
    if (!(code >= 48 && code <= 57)) return index;
    index += 1;
  }
}

/** `on` letter gives true, `off` letter false, anything else undefined. */
function flag(text: string, index: number, on: string, off: string): boolean | undefined {
  const letter = text.charAt(index);
  return letter === on ? true : letter === off ? false : undefined;
}

/**
 * Reads one line.
 *
 * @param text the whole text
 * @param from index of the line's first character
 * @param to index of the line's newline
 * @returns the mapping
 * @throws LinuxError HM_PROC_FORMAT
 */
export function parseMapsLine(text: string, from: number, to: number): Mapping {
  const bad = (): never => {
    throw formatError("/proc/PID/maps", FORM, text.slice(from, to));
  };
  const startEnd = hexEnd(text, from);
  const endEnd = hexEnd(text, startEnd + 1);
  const flags = endEnd + 1;
  const offsetEnd = hexEnd(text, flags + 5);
  const majorEnd = hexEnd(text, offsetEnd + 1);
  const minorEnd = hexEnd(text, majorEnd + 1);
  const inodeEnd = decimalEnd(text, minorEnd + 1);
  const read = flag(text, flags, "r", "-");
  const write = flag(text, flags + 1, "w", "-");
  const execute = flag(text, flags + 2, "x", "-");
  const shared = flag(text, flags + 3, "s", "p");
  if (
    inodeEnd > to ||
    startEnd === from ||
    startEnd - from > 16 ||
    text.charCodeAt(startEnd) !== DASH ||
    endEnd === startEnd + 1 ||
    endEnd - startEnd > 17 ||
    text.charCodeAt(endEnd) !== SPACE ||
    text.charCodeAt(flags + 4) !== SPACE ||
    offsetEnd === flags + 5 ||
    offsetEnd - flags > 21 ||
    text.charCodeAt(offsetEnd) !== SPACE ||
    majorEnd === offsetEnd + 1 ||
    text.charCodeAt(majorEnd) !== COLON ||
    minorEnd === majorEnd + 1 ||
    text.charCodeAt(minorEnd) !== SPACE ||
    inodeEnd === minorEnd + 1 ||
    inodeEnd - minorEnd > 21 ||
    (inodeEnd !== to && text.charCodeAt(inodeEnd) !== SPACE)
  ) {
    return bad();
  }
  if (read === undefined || write === undefined || execute === undefined || shared === undefined)
    return bad();
  const start = hexValue(text, from, startEnd);
  const end = hexValue(text, startEnd + 1, endEnd);
  if (start >= end) return bad();
  const inode =
    inodeEnd - minorEnd > 16
      ? BigInt(text.slice(minorEnd + 1, inodeEnd))
      : BigInt(Number(text.slice(minorEnd + 1, inodeEnd)));
  if (inode >= ADDRESS_LIMIT) return bad();
  let pathStart = inodeEnd;
  while (pathStart < to && text.charCodeAt(pathStart) === SPACE) pathStart += 1;
  const raw = text.slice(pathStart, to);
  return {
    // SAFETY: at most 16 hexadecimal digits were read, so both fit 64 bits; the brand carries no run-time data.
    start: start as Hva,
    // SAFETY: as above.
    end: end as Hva,
    read,
    write,
    execute,
    shared,
    offset: hexValue(text, flags + 5, offsetEnd),
    device: text.slice(offsetEnd + 1, minorEnd),
    inode,
    path: raw.includes("\\012") ? raw.replaceAll("\\012", "\n") : raw,
  };
}

/**
 * @param text the whole of a /proc/PID/maps, every line ended by a newline; empty for a kernel thread or a zombie
 * @returns the mappings in ascending order, never overlapping
 * @throws LinuxError HM_PROC_FORMAT for anything the kernel would not print: a line in another form, a last line
 *   without its end, addresses that go backwards
 */
export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  let previousEnd = 0n;
  for (let from = 0; from < text.length; ) {
    const to = text.indexOf("\n", from);
    if (to < 0) throw formatError("/proc/PID/maps", "a newline after the last line", text.slice(from));
    const mapping = parseMapsLine(text, from, to);
    if (mapping.start < previousEnd) {
      throw formatError("/proc/PID/maps", "addresses that never go backwards", text.slice(from, to));
    }
    previousEnd = mapping.end;
    mappings.push(mapping);
    from = to + 1;
  }
  return mappings;
}

/**
 * @param pid a process or thread id
 * @returns its mappings; empty for a kernel thread or a process that is ending
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_READ, HM_PROC_FORMAT, HM_BAD_PID
 */
export function readMaps(pid: number): Mapping[] {
  return parseMaps(readMapsText(pid));
}

/** One buffer for all reads: the kernel hands out a page of text per call, and nothing here is asynchronous. */
let buffer: Buffer = Buffer.allocUnsafe(256 * 1024);

/** @returns the raw text of /proc/PID/maps @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_READ, HM_BAD_PID */
export function readMapsText(pid: number): string {
  const path = procPath(pid, "maps");
  try {
    const fd = openSync(path, "r");
    try {
      let length = 0;
      for (;;) {
        const count = readSync(fd, buffer, length, buffer.length - length, null);
        if (count === 0) return buffer.toString("utf8", 0, length);
        length += count;
        if (length === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw readError(path, error);
  }
}

/**
 * @param mappings as parseMaps gives them: ascending, not overlapping
 * @param address any host virtual address
 * @returns the mapping that contains the address, or undefined for a hole
 */
export function mappingAt(mappings: readonly Mapping[], address: Hva): Mapping | undefined {
  let low = 0;
  let high = mappings.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const mapping = mappings[middle];
    if (mapping === undefined) return undefined;
    if (address < mapping.start) high = middle;
    else if (address >= mapping.end) low = middle + 1;
    else return mapping;
  }
  return undefined;
}
