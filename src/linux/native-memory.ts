/** Memory outside V8 with a known, unmoving address: what structures passed to the kernel live in. */

import { viewNative } from "./native.js";
import { systemCall } from "./system-call.js";

/** mmap(2) and madvise(2) constants; the same on x86-64 and arm64 (include/uapi/asm-generic/mman-common.h, linux/mman.h). */
export const mapping = {
  PROT_READ: 1,
  PROT_WRITE: 2,
  MAP_SHARED: 1,
  MAP_PRIVATE: 2,
  MAP_FIXED: 0x10,
  MAP_ANONYMOUS: 0x20,
  MAP_NORESERVE: 0x4000,
  MREMAP_MAYMOVE: 1,
  MREMAP_FIXED: 2,
} as const;

/** A mapping of this process; `bytes` must not be used after `release`. */
export interface NativeMemory {
  /** Start address in this process. */
  readonly address: bigint;
  readonly bytes: Buffer;
  release(): void;
}

/** @returns the same bytes as 64-bit words: an element of it costs a fraction of a read or write of a Buffer, above all in code that is new */
export function wordsOf({ bytes }: NativeMemory): BigUint64Array {
  return new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
}

/** What this thread has not released yet. */
const held = new Set<NativeMemory>();

function own(address: bigint, size: number): NativeMemory {
  const memory = {
    address,
    bytes: viewNative(address, size),
    release(): void {
      held.delete(memory);
      // SAFETY: the range came from mmap below with this very size and is released by its only owner.
      systemCall("munmap", address, size);
    },
  };
  held.add(memory);
  return memory;
}

/** The last thing a thread does that ends while its process goes on: nothing of it may be used any more. @throws SystemCallError */
export function releaseAllNative(): void {
  for (const memory of [...held]) memory.release();
}

/** @param size bytes @returns zeroed private memory @throws SystemCallError */
export function allocateNative(size: number): NativeMemory {
  // SAFETY: a new anonymous mapping of our own; nothing else refers to it, and it goes when we die.
  const address = systemCall(
    "mmap",
    0,
    size,
    mapping.PROT_READ | mapping.PROT_WRITE,
    mapping.MAP_PRIVATE | mapping.MAP_ANONYMOUS,
    -1,
    0,
  );
  return own(address, size);
}

/**
 * @param fd a file open for reading and writing
 * @param offset where in it, in bytes
 * @param size bytes
 * @returns that part of the file, shared with whoever else maps it @throws SystemCallError
 */
export function mapFile(fd: number, offset: bigint, size: number): NativeMemory {
  // SAFETY: a new mapping of our own; it goes when we die, and what was written stays in the file.
  const address = systemCall(
    "mmap",
    0,
    size,
    mapping.PROT_READ | mapping.PROT_WRITE,
    mapping.MAP_SHARED,
    fd,
    offset,
  );
  return own(address, size);
}
