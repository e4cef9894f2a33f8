/** Carries on where a dead guard was putting large pages back, or where none saw that the guest was reset. */

import type { HealingEvent } from "../ledger/internal-events.js";
import { hex, hva } from "../linux/address.js";
import { classify, type PlacedOverlay, readOverlays } from "../recovery/classify.js";
import type { LargePage } from "../recovery/large-page.js";
import type { GuardContext } from "./guard-context.js";
import { findMissedResets } from "./missed-resets.js";
import { putLargePagesBack, renewAdvice, tellHealed, tellHealFailure } from "./put-back.js";
import type { LeftPages } from "./replaced-pages.js";

/** Carries on. @param left from the ledger. Never throws: what cannot be put back stays as it is, and is told. */
export async function finishHeals(guard: GuardContext, { openHeals }: LeftPages): Promise<void> {
  try {
    await guard.fills.finishAll();
    const { placed } = readOverlays(guard.pid);
    finishDone(
      guard,
      openHeals.filter((heal) => !placed.some((one) => isOf(one, heal))),
    );
    await putLargePagesBack(guard, findMissedResets(guard, placed));
  } catch (error) {
    tellHealFailure(guard, error);
  }
}

function isOf({ overlay }: PlacedOverlay, { hva }: { readonly hva: string }): boolean {
  return hex(overlay.base) === hva;
}

/** The large page was in its place already when the guard died: what is left is QEMU's advice, and the word in the ledger. */
function finishDone(guard: GuardContext, heals: readonly HealingEvent[]): void {
  const back = heals.flatMap((heal) => largePageOf(guard, heal) ?? []);
  if (back.length === 0) return;
  const held = guard.tracee.holdAny();
  try {
    for (const page of back) {
      using remote = held.borrow();
      renewAdvice(guard, remote, page, guard.attributesOf(page.mapping));
      tellHealed(guard, page);
    }
  } finally {
    held.withhold();
  }
}

function largePageOf(guard: GuardContext, heal: HealingEvent): LargePage | undefined {
  const found = classify(guard.view, hva(BigInt(heal.hva)));
  if (found.kind !== "large-page") return undefined;
  const { page } = found;
  return page.size === heal.pageSize && page.offset === BigInt(heal.offset) ? page : undefined;
}
