import type { Hva } from "../linux/address.js";
import type { Mapping } from "../linux/procfs/maps.js";

/** Size of the pages a large page is replaced by, and the least that can be lost. */
export const SMALL_PAGE = 4096;

/** One large page of a process's RAM. */
export interface LargePage {
  /** Host virtual address of its first byte. */
  readonly base: Hva;
  /** Bytes: 2 MiB or 1 GiB. */
  readonly size: number;
  /** Where it begins in its file, in bytes. */
  readonly offset: bigint;
  /** The file, as /proc/PID/maps shows it. */
  readonly device: string;
  readonly inode: bigint;
  /** The mapping it lies in. */
  readonly mapping: Mapping;
}
