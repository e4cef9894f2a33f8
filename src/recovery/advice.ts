/** What QEMU has set on its RAM with madvise(2), and the replacement must carry as well. */

import type { Mapping } from "../linux/procfs/maps.js";
import { readSmapsEntry } from "../linux/procfs/smaps.js";

/** VmFlags letters (fs/proc/task_mmu.c show_smap_vma_flags) and the advice that sets them (asm-generic/mman-common.h). */
const advices: readonly (readonly [flag: string, advice: number])[] = [
  ["dc", 10], // MADV_DONTFORK
  ["mg", 12], // MADV_MERGEABLE
  ["dd", 16], // MADV_DONTDUMP
];

/** @returns madvise(2) numbers to repeat on a replacement @throws LinuxError if the mapping cannot be read */
export function adviceOf(pid: number, mapping: Mapping): readonly number[] {
  const flags = readSmapsEntry(pid, mapping.start)?.vmFlags;
  return advices.filter(([flag]) => flags?.has(flag)).map(([, advice]) => advice);
}
