/** What QEMU has set on its RAM with madvise(2) and mbind(2), and the replacement must carry as well. */

import type { Hva } from "../linux/address.js";
import type { Mapping } from "../linux/procfs/maps.js";
import { type NumaPolicy, readNumaPolicy } from "../linux/procfs/numa-maps.js";
import { readSmapsEntry } from "../linux/procfs/smaps.js";
import { readStatus } from "../linux/procfs/status.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { trySetPolicy } from "./numa-policy.js";

/** Attributes of a mapping beside protection and sharing. */
export interface RamAttributes {
  /** madvise(2) numbers. */
  readonly advice: readonly number[];
  /** Undefined: the process's own. */
  readonly policy: NumaPolicy | undefined;
  /**
   * mlockall(2): new memory is populated at once. Large pages themselves do not show it (mm/mlock.c leaves hugetlb out), so the whole
   * process is asked; libraries that lock a few pages for keys do not count.
   */
  readonly locked: boolean;
}

const MADV_DONTFORK = 10;

/** VmFlags letters (fs/proc/task_mmu.c show_smap_vma_flags) and the advice that sets them (asm-generic/mman-common.h). */
const advices: readonly (readonly [flag: string, advice: number])[] = [
  ["dc", MADV_DONTFORK],
  ["mg", 12], // MADV_MERGEABLE
  ["dd", 16], // MADV_DONTDUMP
];

const MOST_LOCKED_FOR_KEYS = 1024 * 1024;

/** @returns what to repeat on a replacement @throws LinuxError if the mapping cannot be read */
export function attributesOf(pid: number, mapping: Mapping): RamAttributes {
  const flags = readSmapsEntry(pid, mapping.start)?.vmFlags;
  return {
    advice: advices.filter(([flag]) => flags?.has(flag)).map(([, advice]) => advice),
    policy: readNumaPolicy(pid, mapping.start),
    locked: (readStatus(pid).lockedBytes ?? 0) > MOST_LOCKED_FOR_KEYS,
  };
}

/**
 * Why memory that is not shared cannot stand for RAM with these attributes.
 *
 * @returns undefined if it can: QEMU keeps its RAM from its children (system/physmem.c, ram_block_add)
 */
export function obstacleToPrivate({ advice, locked }: RamAttributes): string | undefined {
  if (locked) return "RAM is locked in memory (mlock)";
  if (!advice.includes(MADV_DONTFORK)) return "children of the process would inherit RAM (no MADV_DONTFORK)";
  return undefined;
}

/**
 * Repeats them on a new mapping that nobody uses yet.
 *
 * @throws RemoteCallError if the kernel refuses an advice
 */
export function copyAttributes(
  remote: RemoteCalls,
  region: Hva,
  size: number,
  { advice, policy }: RamAttributes,
): void {
  // SAFETY: advice on our own new mapping.
  for (const one of advice) remote.call("madvise", region, size, one);
  trySetPolicy(remote, { region, size }, policy);
}
