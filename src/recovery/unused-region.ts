/** What lies behind a tag that names no replacement in place: the spare region it was made with, or memory of QEMU's that came there since. */

import type { Mapping } from "../linux/procfs/maps.js";
import { isAnonymous } from "./anonymous.js";
import { type SpareTag, TAG_SIZE } from "./spare-tag.js";

/**
 * What a region carries when its tag names a page (spare-region.ts, keep-small.ts, ram-attributes.ts), as VmFlags (fs/proc/task_mmu.c
 * show_smap_vma_flags): not reserved, not copied on fork, and never joined or watched. Where the kernel does not say so (no
 * CONFIG_TRANSPARENT_HUGEPAGE, vm.overcommit_memory 2) it is not known to be ours.
 */
const ofRegions = ["nr", "dc"] as const;
const NEVER_JOINED = "nh";
const WATCHED = "um";

/**
 * @param tag the tag's mapping
 * @param next the mapping behind it
 * @param says what the tag says; undefined if nothing that can be read
 * @param flagsOf VmFlags of a mapping; undefined if they cannot be read. Asked only where nothing else tells
 * @returns bytes of the region behind the tag that was never used; 0n if there is none. In doubt there is none: QEMU may have got memory of the same
 *   size in the place that a region has left
 */
export function unusedRegion(
  tag: Mapping,
  next: Mapping | undefined,
  says: SpareTag | undefined,
  flagsOf: (mapping: Mapping) => ReadonlySet<string> | undefined,
): bigint {
  // A tag that is larger still covers the place of its region.
  if (says === undefined || tag.end - tag.start !== BigInt(TAG_SIZE)) return 0n;
  const size = BigInt(says.size);
  if (next?.start !== tag.end || next.end - next.start !== size || !isAnonymous(next)) return 0n;
  // Its place was taken from the beginning, and it has not moved since: nobody else can have come there.
  if (says.page === null) return size;
  const flags = flagsOf(next);
  const wanted = [...ofRegions, says.descriptor === null ? NEVER_JOINED : WATCHED];
  return wanted.every((flag) => flags?.has(flag) === true) ? size : 0n;
}
