/**
 * PROCMAP_QUERY: one mapping of a process by its address, as a structure instead of text (Linux 6.11, include/uapi/linux/fs.h struct
 * procmap_query; fs/proc/task_mmu.c do_procmap_query()). The ioctl is made on a descriptor of /proc/PID/maps.
 */

import type { Hva } from "../address.js";
import { ioctlRequest } from "../ioctl.js";
import type { Mapping } from "./maps.js";

/** Bytes of struct procmap_query. */
export const QUERY_SIZE = 104;
/** The request. */
export const PROCMAP_QUERY: number = ioctlRequest("read-write", "f".charCodeAt(0), 17, QUERY_SIZE);
/** PATH_MAX: more the kernel does not take for the name's buffer. */
export const NAME_LIMIT = 4096;

/** Where the fields of struct procmap_query lie, in bytes. */
export const queryField = {
  size: 0,
  queryFlags: 8,
  address: 16,
  start: 24,
  end: 32,
  flags: 40,
  pageSize: 48,
  offset: 56,
  inode: 64,
  deviceMajor: 72,
  deviceMinor: 76,
  nameSize: 80,
  nameAddress: 88,
} as const;

// enum procmap_query_flags
const READABLE = 1;
const WRITABLE = 2;
const EXECUTABLE = 4;
const SHARED = 8;

/** One struct procmap_query, and the buffer for the name. Words are read as arrays: Buffer's own readers of 64 bits take ten times as long. */
export class MappingQuery {
  readonly #words: BigUint64Array;
  readonly #halves: Uint32Array;
  readonly #name: Buffer;

  /**
   * @param memory zeroed, 104 bytes for the structure and 4096 for the name, at a multiple of 8
   * @param address where it lies
   */
  constructor(memory: Buffer, address: bigint) {
    this.#words = new BigUint64Array(memory.buffer, memory.byteOffset, QUERY_SIZE / 8);
    this.#halves = new Uint32Array(memory.buffer, memory.byteOffset, QUERY_SIZE / 4);
    this.#name = memory.subarray(QUERY_SIZE, QUERY_SIZE + NAME_LIMIT);
    this.#words[queryField.size / 8] = BigInt(QUERY_SIZE);
    this.#words[queryField.nameAddress / 8] = address + BigInt(QUERY_SIZE);
  }

  /** Makes it a question. What else the kernel has written is its answer to the last one, and is written anew. @param address which mapping is asked for */
  ask(address: Hva): void {
    this.#words[queryField.address / 8] = address;
    this.#halves[queryField.nameSize / 4] = NAME_LIMIT;
  }

  /**
   * Reads the answer.
   *
   * @returns the mapping as its line in /proc/PID/maps tells it; only a name with the four characters `\012` in it is told as it is here
   */
  answer(): Mapping {
    const flags = this.#half(queryField.flags);
    const nameSize = this.#half(queryField.nameSize);
    return {
      // SAFETY: addresses from the kernel, 64 bits each; the brand carries no run-time data.
      start: this.#word(queryField.start) as Hva,
      // SAFETY: as above.
      end: this.#word(queryField.end) as Hva,
      read: (flags & READABLE) !== 0,
      write: (flags & WRITABLE) !== 0,
      execute: (flags & EXECUTABLE) !== 0,
      shared: (flags & SHARED) !== 0,
      offset: this.#word(queryField.offset),
      device: deviceText(this.#half(queryField.deviceMajor), this.#half(queryField.deviceMinor)),
      inode: this.#word(queryField.inode),
      // The size includes the end.
      path: nameSize === 0 ? "" : this.#name.toString("utf8", 0, nameSize - 1),
    };
  }

  /** Of the same answer: bytes of the smallest page it can be mapped by; more than a small page for hugetlbfs, and for DAX devices. */
  pageSize(): number {
    return Number(this.#word(queryField.pageSize));
  }

  #word(at: number): bigint {
    return this.#words[at / 8] ?? 0n;
  }

  #half(at: number): number {
    return this.#halves[at / 4] ?? 0;
  }
}

/** A device as the text names it: printf's %02x:%02x. */
export function deviceText(major: number, minor: number): string {
  return `${major < 16 ? "0" : ""}${major.toString(16)}:${minor < 16 ? "0" : ""}${minor.toString(16)}`;
}
