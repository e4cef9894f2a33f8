/** After a guest reset: every replaced large page is put back, while the VM stands still. */

import { readOverlays } from "../recovery/classify.js";
import { lostNow } from "../recovery/lost-now.js";
import type { GuardContext } from "./guard-context.js";
import { findMissedResets } from "./missed-resets.js";
import { putLargePagesBack, tellHealFailure } from "./put-back.js";

/** QEMU has told of the reset, and nothing is being filled. Never throws: what cannot be put back stays as it is, and is told. */
export async function healAfterReset(guard: GuardContext): Promise<void> {
  guard.onStep("reset-seen");
  try {
    // A reset forgives: what was left alone before may be tried again.
    guard.refused.clear();
    // What is not there yet cannot be copied, and whoever reads it would wait.
    await guard.fills.finishAll();
    const overlays = new Map(readOverlays(guard.pid).placed.map(({ overlay }) => [overlay.base, overlay]));
    const forgiven = [...overlays.values()].map((overlay) => ({
      overlay,
      lost: lostNow(guard.pid, overlay.base, overlay.size),
    }));
    await putLargePagesBack(guard, forgiven);
  } catch (error) {
    tellHealFailure(guard, error);
  }
}

/** Whether the guest was reset and nobody has told. Never throws. */
export function resetWasMissed(guard: GuardContext): boolean {
  try {
    if (!guard.replaced.anyPending) return false;
    return findMissedResets(guard, readOverlays(guard.pid).placed).length > 0;
  } catch (error) {
    tellHealFailure(guard, error);
    return false;
  }
}

/** The same as {@link healAfterReset} for such a reset. Never throws either. */
export async function healAfterMissedReset(guard: GuardContext): Promise<void> {
  try {
    if (!resetWasMissed(guard)) return;
    guard.refused.clear();
    await guard.fills.finishAll();
    await putLargePagesBack(guard, findMissedResets(guard, readOverlays(guard.pid).placed));
  } catch (error) {
    tellHealFailure(guard, error);
  }
}
