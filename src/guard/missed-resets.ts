/**
 * Resets of the guest that QEMU has not told of: no monitor, its connection was away, or no guard was there. A lost page that stays
 * lost after one is worse than no guard: QEMU by itself would have given the guest a healthy page.
 */

import { HugemendError } from "../errors.js";
import { salvageSupport } from "../linux/procfs/kernel-version.js";
import type { PlacedOverlay } from "../recovery/classify.js";
import type { OverlayIdentity } from "../recovery/overlay-name.js";
import { openRamFile, readsAsZeros } from "../recovery/ram-file.js";
import type { GuardContext } from "./guard-context.js";
import type { ForgivenPage } from "./replaced-pages.js";

/**
 * At a reset QEMU 10.0 punches the bad large pages it was told of out of their file (system/physmem.c qemu_ram_remap). Nothing else
 * mends them there but a guest that has given the whole large page back (balloon, free page reporting): in both cases nothing of
 * what was lost then is expected.
 *
 * @param among which of its lost pages are asked about
 * @returns offsets of those that a reset has forgiven
 */
export function forgivenBy(
  guard: GuardContext,
  overlay: OverlayIdentity,
  among: (offset: number) => boolean = () => true,
): readonly number[] {
  // Elsewhere a bad page may read as zeros.
  if (salvageSupport(guard.kernel) !== "ok") return [];
  const known = guard.replaced.forgiven(overlay.base).filter(among);
  const others = guard.replaced.forgivable(overlay.base).filter((at) => among(at) && !known.includes(at));
  if (others.length === 0) return known;
  try {
    using file = openRamFile(guard.pid, guard.processDescriptor, overlay);
    const renewed = others.filter((offset) => readsAsZeros(file, overlay, offset));
    return [...known, ...renewed].sort((left, right) => left - right);
  } catch (error) {
    // Nothing is known, so nothing is done.
    if (error instanceof HugemendError) return known;
    throw error;
  }
}

/** @param placed overlays in place @returns those of a guest that was reset since */
export function findMissedResets(guard: GuardContext, placed: readonly PlacedOverlay[]): ForgivenPage[] {
  return placed.flatMap(({ overlay }) => {
    const lost = forgivenBy(guard, overlay);
    return lost.length === 0 && !guard.replaced.isDue(overlay.base) ? [] : [{ overlay, lost }];
  });
}
