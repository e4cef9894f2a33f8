/** Joining small pages of another process to a large one: process_madvise(2) with MADV_COLLAPSE (Linux 6.1). */

import { readFileSync } from "node:fs";
import type { Hva } from "./address.js";
import { allocateNative } from "./native-memory.js";
import { trySystemCall } from "./system-call.js";

/** Bytes of a transparent huge page. */
export const HUGE_RANGE: number = 2 * 1024 * 1024;
const MADV_COLLAPSE = 25;

const vector = allocateNative(4096);

/**
 * Asks for one 2 MiB range of anonymous memory to be backed by one page.
 *
 * @param processDescriptor pidfd of the process
 * @param start address of the range, a multiple of 2 MiB
 * @returns the error number, 0 on success: EINVAL where not every 4 KiB can be joined, ENOMEM, EAGAIN, EBUSY
 */
export function collapseRange(processDescriptor: number, start: Hva): number {
  vector.bytes.writeBigUInt64LE(start, 0);
  vector.bytes.writeBigUInt64LE(BigInt(HUGE_RANGE), 8);
  // SAFETY: the kernel moves the data under its own locks; what cannot be joined stays as it is. Our death changes nothing.
  return trySystemCall("process_madvise", processDescriptor, vector.address, 1, MADV_COLLAPSE, 0).errno;
}

/** The host's setting for transparent huge pages (/sys/kernel/mm/transparent_hugepage/enabled). */
export type HugePageChoice = "always" | "madvise" | "never";

/** @returns the host's setting; undefined on a kernel without transparent huge pages */
export function hugePageChoice(): HugePageChoice | undefined {
  try {
    const text = readFileSync("/sys/kernel/mm/transparent_hugepage/enabled", "latin1");
    const word = /\[(always|madvise|never)\]/.exec(text)?.[1];
    return word === "always" || word === "madvise" || word === "never" ? word : undefined;
  } catch {
    return undefined;
  }
}
