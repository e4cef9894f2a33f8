/** A file of one large page that is this process's alone: memfd_create(2) with MFD_HUGETLB. */

import { viewNative } from "./native.js";
import { allocateNative, mapping } from "./native-memory.js";
import { closeDescriptor } from "./pidfd.js";
import { systemCall } from "./system-call.js";

/** include/uapi/linux/memfd.h */
const MFD_CLOEXEC = 1;
const MFD_HUGETLB = 4;
const MFD_HUGE_SHIFT = 26;

/** The file and, until `unmap`, its memory. */
export interface LargePageFile {
  readonly descriptor: number;
  /** Where it is mapped in this process. */
  readonly address: bigint;
  /** The same as bytes; must not be used after `unmap`. */
  readonly bytes: Buffer;
  unmap(): void;
  /** Gives the page back to the kernel. */
  close(): void;
}

/**
 * Takes one free large page from its pool. It is allocated here and not at the first write, which would be a SIGBUS if the pool or a
 * cgroup had none to give.
 *
 * @param pageSize bytes of a large page that the kernel knows
 * @throws SystemCallError ENOMEM, ENOSPC: no page is free
 */
export function createLargePageFile(pageSize: number): LargePageFile {
  const descriptor = createMemfd("hugemend self-test", MFD_HUGETLB | (Math.log2(pageSize) << MFD_HUGE_SHIFT));
  try {
    // SAFETY: a file of our own; the page goes back to its pool when we close it or die.
    systemCall("fallocate", descriptor, 0, 0, pageSize);
    const protection = mapping.PROT_READ | mapping.PROT_WRITE;
    // SAFETY: a new mapping of our own; it goes when we die.
    const address = systemCall("mmap", 0, pageSize, protection, mapping.MAP_SHARED, descriptor, 0);
    return {
      descriptor,
      address,
      bytes: viewNative(address, pageSize),
      unmap(): void {
        // SAFETY: the range came from mmap above with this very size and is released by its only owner.
        systemCall("munmap", address, pageSize);
      },
      close: () => closeDescriptor(descriptor),
    };
  } catch (error) {
    closeDescriptor(descriptor);
    throw error;
  }
}

/** @param name for /proc, at most 249 bytes @param flags besides close-on-exec @returns a descriptor @throws SystemCallError */
export function createMemfd(name: string, flags = 0): number {
  const text = allocateNative(4096);
  try {
    text.bytes.write(`${name}\0`, "latin1");
    // SAFETY: a new descriptor of our own; the file goes when we die.
    return Number(systemCall("memfd_create", text.address, MFD_CLOEXEC | flags));
  } finally {
    text.release();
  }
}
