/** Carries on where a dead guard was putting large pages back, or where none saw that the guest was reset. */

import type { HealingEvent } from "../ledger/internal-events.js";
import type { LedgerState } from "../ledger/replay.js";
import { hex, hva } from "../linux/address.js";
import { classify, type PlacedOverlay, readOverlays } from "../recovery/classify.js";
import type { LargePage } from "../recovery/large-page.js";
import type { GuardContext } from "./guard-context.js";
import { findMissedResets } from "./missed-resets.js";
import { putLargePagesBack, renewAdvice, tellHealed, tellHealFailure } from "./put-back.js";

/** What the ledger says of large pages that are not in their place. */
export type LeftHeals = Pick<LedgerState, "openHeals" | "replaced" | "openIntents">;

/** Carries on. Never throws: what cannot be put back stays as it is, and is told. */
export async function finishHeals(guard: GuardContext, left: LeftHeals): Promise<void> {
  // Only with a monitor can the VM be paused; and no guard without one has begun to put a page back.
  if (guard.vm === undefined) return;
  try {
    await guard.fills.finishAll();
    const { placed } = readOverlays(guard.pid);
    const begun = left.openHeals.map((heal) => ({ heal, now: placed.find((one) => isOf(one, heal)) }));
    finishDone(
      guard,
      begun.flatMap(({ heal, now }) => (now === undefined ? [heal] : [])),
    );
    const again = begun.flatMap(({ heal: { lost }, now }) =>
      now === undefined ? [] : [{ overlay: now.overlay, lost }],
    );
    const others = placed.filter((one) => !left.openHeals.some((heal) => isOf(one, heal)));
    const missed = await findMissedResets(guard, others, [...left.openIntents, ...left.replaced]);
    await putLargePagesBack(guard, [...again, ...missed]);
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
  const { found } = classify(guard.pid, hva(BigInt(heal.hva)));
  if (found.kind !== "large-page") return undefined;
  const { page } = found;
  return page.size === heal.pageSize && page.offset === BigInt(heal.offset) ? page : undefined;
}
