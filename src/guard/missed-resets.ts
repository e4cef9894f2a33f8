/**
 * Resets of the guest that no guard has seen. A lost page that stays lost after one is worse than no guard: QEMU by itself would
 * have given the guest a healthy page.
 */

import { HugemendError } from "../errors.js";
import type { ReplacedPage } from "../ledger/replay.js";
import { hex } from "../linux/address.js";
import { salvageSupport } from "../linux/procfs/kernel-version.js";
import type { PlacedOverlay } from "../recovery/classify.js";
import { lostNow } from "../recovery/lost-now.js";
import type { OverlayIdentity } from "../recovery/overlay-name.js";
import { isHole, openRamFile } from "../recovery/ram-file.js";
import type { GuardContext } from "./guard-context.js";
import type { ForgivenPage } from "./put-back.js";

/**
 * At a reset QEMU 10.0 punches the bad large pages it was told of out of their file (system/physmem.c qemu_ram_remap). Nothing else
 * leaves a hole there but a guest that has given the whole large page back (balloon, free page reporting): in both cases nothing of
 * its lost pages is expected. Pages that the ledger does not know may have been lost since: then the small pages stay.
 *
 * @param placed overlays in place
 * @param known what the ledger says of them; the first that fits counts
 */
export async function findMissedResets(
  guard: GuardContext,
  placed: readonly PlacedOverlay[],
  known: readonly (Pick<ReplacedPage, "hva" | "lost"> & Partial<Pick<ReplacedPage, "givenBack">>)[],
): Promise<ForgivenPage[]> {
  // Elsewhere a bad page may read as zeros.
  if (salvageSupport(guard.kernel) !== "ok") return [];
  const missed: ForgivenPage[] = [];
  for (const { overlay } of placed) {
    const record = known.find(({ hva }) => hva === hex(overlay.base));
    // The hole is ours: it says nothing.
    if (record?.givenBack === true) continue;
    const before = new Set(record?.lost);
    if (before.size === 0 || !(await wasPunchedOut(guard, overlay))) continue;
    const lost = lostNow(guard.pid, overlay.base, overlay.size);
    if (lost.length > 0 && lost.every((offset) => before.has(offset))) missed.push({ overlay, lost });
  }
  return missed;
}

async function wasPunchedOut(guard: GuardContext, overlay: OverlayIdentity): Promise<boolean> {
  try {
    using file = openRamFile(guard.pid, guard.processDescriptor, overlay);
    return await isHole(file.ours, overlay);
  } catch (error) {
    // Nothing is known, so nothing is done.
    if (error instanceof HugemendError) return false;
    throw error;
  }
}
