/**
 * Makes lost pages usable again where they are: what a guest that was reset may expect of its memory, without its large page. Touches
 * nothing but the overlay, so neither sharers, nor devices, nor the pool stand in its way, and the VM need not be paused: until the
 * marker goes an access raises SIGBUS, from then on it finds zeros.
 */

import { closeSync, openSync } from "node:fs";
import { hva } from "../linux/address.js";
import { punchHole } from "../linux/file-transfer.js";
import { canReadProcess } from "../linux/process-memory.js";
import { mapFilesPath } from "../linux/procfs/map-files.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import type { PlacedOverlay } from "./classify.js";
import { SMALL_PAGE } from "./large-page.js";

const MADV_DONTNEED = 4;

/**
 * @param remote a borrowed thread of the VM
 * @param placed an overlay in place, or what is left of one
 * @param forgiven byte offsets of small pages of which nothing is expected any more; those that can be read are left as they are
 * @returns offsets that read as zeros from now on, ascending
 * @throws HugemendError, SystemCallError: some may have been cleared
 */
export function clearLostPages(
  remote: RemoteCalls,
  { overlay, mapping }: Pick<PlacedOverlay, "overlay" | "mapping">,
  forgiven: Iterable<number>,
): number[] {
  const lost = [...forgiven]
    .sort((left, right) => left - right)
    .map((offset) => ({ offset, page: hva(overlay.base + BigInt(offset)) }))
    .filter(({ page }) => page >= mapping.start && page < mapping.end)
    .filter(({ page }) => !canReadProcess(remote.pid, page, SMALL_PAGE));
  if (lost.length === 0) return [];
  const file = mapping.inode === 0n ? undefined : openSync(mapFilesPath(remote.pid, mapping), "r+");
  try {
    for (const { offset, page } of lost) {
      // SAFETY: a lost page of a guest that was reset: it holds nothing, and its place in the overlay's file may become a hole.
      if (file !== undefined) punchHole(file, BigInt(offset), SMALL_PAGE);
      // SAFETY: as above; the marker in the page table goes. If we die in between, it is still lost.
      remote.call("madvise", page, SMALL_PAGE, MADV_DONTNEED);
    }
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return lost.map(({ offset }) => offset);
}
