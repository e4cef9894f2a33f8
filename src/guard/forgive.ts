/** Lost pages of a guest that was reset become usable again, whether or not their large page can come back. */

import { type Hva, hex } from "../linux/address.js";
import { type PlacedOverlay, readOverlays } from "../recovery/classify.js";
import { clearLostPages } from "../recovery/clear-lost-pages.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext } from "./guard-context.js";
import { forgivenBy } from "./missed-resets.js";
import { restoreBusHandler } from "./release.js";
import type { ForgivenPage } from "./replaced-pages.js";
import { tellTrouble } from "./tell-trouble.js";

/**
 * The same for a thread that stands at such a page: QEMU has renewed the large page behind it, so the guest was reset.
 *
 * @param held the thread; let go if the page is usable again
 * @param address first byte of a small page that cannot be read
 * @returns whether the thread repeats its access now, and finds zeros
 */
export function forgiveTouched(
  guard: GuardContext,
  held: HeldThread,
  placed: Pick<PlacedOverlay, "overlay" | "mapping">,
  address: Hva,
): boolean {
  const { base } = placed.overlay;
  const touched = Number(address - base);
  try {
    const forgiven = forgivenBy(guard, placed.overlay, (offset) => offset === touched);
    if (forgiven.length === 0) return false;
    const forced = held.canDeliver;
    using remote = held.borrow();
    guard.replaced.cleared(base, clearLostPages(remote, placed, forgiven));
    restoreBusHandler(guard, remote, forced);
  } catch (error) {
    tellTrouble(guard, `The guest was reset, but the lost page at ${hex(address)} stays lost`, error);
    // Once is enough: the thread repeats its access, and is let go with its signal then.
    guard.replaced.cleared(base, [touched]);
    return false;
  }
  guard.onStep("lost-forgiven");
  held.withhold();
  guard.replaced.resetFound(base);
  guard.lookForResets();
  return true;
}

/**
 * Clears what is forgiven of overlays that stay in place. Never throws.
 *
 * @param held a thread that stands already; otherwise one is borrowed for it
 * @returns how many 4 KiB are usable again, and why not all
 */
export function clearForgiven(
  guard: GuardContext,
  pages: readonly ForgivenPage[],
  held?: HeldThread,
): { cleared: number; trouble?: unknown } {
  const wanted = pages.filter(({ overlay, lost }) => {
    guard.replaced.reset(overlay.base, lost);
    return lost.length > 0;
  });
  let cleared = 0;
  if (wanted.length === 0) return { cleared };
  try {
    const thread = held ?? guard.tracee.holdAny([guard.pid]);
    try {
      using remote = thread.borrow();
      const { placed } = readOverlays(guard.pid);
      for (const { overlay, lost } of wanted) {
        for (const part of placed.filter((one) => one.overlay.base === overlay.base))
          cleared += clearLostPages(remote, part, lost).length;
        guard.replaced.cleared(overlay.base, lost);
      }
      return { cleared };
    } finally {
      if (held === undefined) thread.withhold();
    }
  } catch (trouble) {
    return { cleared, trouble };
  }
}
