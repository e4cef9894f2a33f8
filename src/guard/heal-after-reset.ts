/** After a guest reset: every replaced large page is put back, while the VM stands still. */

import { readOverlays } from "../recovery/classify.js";
import { lostNow } from "../recovery/lost-now.js";
import type { GuardContext } from "./guard-context.js";
import { putLargePagesBack, tellHealFailure } from "./put-back.js";

/** Never throws: what cannot be put back stays as it is, and is told. */
export async function healAfterReset(guard: GuardContext): Promise<void> {
  guard.onStep("reset-seen");
  // A reset forgives: what was left alone before may be tried again.
  guard.refused.clear();
  try {
    // What is not there yet cannot be copied, and whoever reads it would wait.
    await guard.fills.finishAll();
    const { placed } = readOverlays(guard.pid);
    const forgiven = placed.map(({ overlay }) => ({
      overlay,
      lost: lostNow(guard.pid, overlay.base, overlay.size),
    }));
    await putLargePagesBack(guard, forgiven);
  } catch (error) {
    tellHealFailure(guard, error);
  }
}
