/**
 * Software poison in a page of a file: madvise(2) MADV_HWPOISON, which runs the kernel's own memory_failure() on it. Whoever maps or
 * reads the page from then on gets an error, in every process. Costs one healthy page of the host until its next boot.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Pfn } from "./address.js";
import { mapping } from "./native-memory.js";
import { systemCall } from "./system-call.js";

const MADV_HWPOISON = 100;
const CAP_SYS_ADMIN = 21n;

/** @returns what this process lacks for it, for people; undefined if nothing */
export function poisonLack(): string | undefined {
  try {
    // mm/memory-failure.c makes it; absent without CONFIG_MEMORY_FAILURE.
    readFileSync("/proc/sys/vm/memory_failure_recovery");
  } catch {
    return "a kernel with CONFIG_MEMORY_FAILURE";
  }
  const effective = /^CapEff:\t([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
  return (BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n ? undefined : "CAP_SYS_ADMIN";
}

/**
 * Poisons pages of a file that no other process maps yet: one that does could be told at once (mm/memory-failure.c collect_procs).
 *
 * Over a page that was written the kernel forces SIGBUS on the calling thread (mm/memory-failure.c kill_procs: the error is "action
 * required" for whoever injects it); over a clean one it does not (tried). The signal is delivered on the way out of the call, not at
 * an instruction that would fault again, so a handler that does nothing is all that is needed; libuv's is one, in C, and runs no
 * JavaScript. It stands only during these calls: for a real fault of ours it would be wrong.
 *
 * @param descriptor of the file, open for reading and writing
 * @param offsets of the pages
 * @param size of each: 4096
 * @throws SystemCallError
 */
export function poisonPages(descriptor: number, offsets: readonly number[], size: number): void {
  for (const offset of offsets) {
    const protection = mapping.PROT_READ | mapping.PROT_WRITE;
    // SAFETY: a new mapping of our own that nothing in this process reads or writes; it goes with us if we die.
    const address = systemCall("mmap", 0, size, protection, mapping.MAP_SHARED, descriptor, offset);
    try {
      poisonMapped(address, size);
    } finally {
      // SAFETY: our own mapping of above.
      systemCall("munmap", address, size);
    }
  }
}

/**
 * The same for memory that is mapped in this process already. Nothing may read or write it from then on.
 *
 * @param address of the first page
 * @param size bytes; of a large page the kernel takes one call for all of it, so 4096 there
 * @throws SystemCallError
 */
export function poisonMapped(address: bigint, size: number): void {
  const survive = (): void => {};
  process.on("SIGBUS", survive);
  try {
    // SAFETY: memory of our own, not in anybody else's use. If we die right here the page is poisoned or it is not.
    systemCall("madvise", address, size, MADV_HWPOISON);
  } finally {
    process.off("SIGBUS", survive);
  }
}

/** Of the module hwpoison-inject, in debugfs (mm/hwpoison-inject.c). */
const UNPOISON = "/sys/kernel/debug/hwpoison/unpoison-pfn";

/** Whether this host can give poisoned pages back. */
export function canUnpoison(): boolean {
  return existsSync(UNPOISON);
}

/**
 * Takes software poison off a page frame (mm/memory-failure.c unpoison_memory). Does nothing to a frame that is not poisoned. The kernel
 * refuses once the hardware has ever reported an error.
 *
 * @returns whether the kernel took the frame's number
 */
export function unpoison(frame: Pfn): boolean {
  try {
    // SAFETY: a frame that this program poisoned itself, in nobody's use. If we die right here it is poisoned or it is not.
    writeFileSync(UNPOISON, `${frame}`);
    return true;
  } catch {
    return false;
  }
}
