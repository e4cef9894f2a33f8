/** Puts large pages back in the place of their small ones, with the VM paused and the ledger written first. */

import { HugemendError, messageOf } from "../errors.js";
import { type Hva, hex } from "../linux/address.js";
import type { PauseLease } from "../qemu/pause-lease.js";
import { type PlacedOverlay, readOverlays } from "../recovery/classify.js";
import { type HealOutcome, healLargePage } from "../recovery/heal.js";
import type { OverlayIdentity } from "../recovery/overlay-name.js";
import { copyAttributes, type RamAttributes } from "../recovery/ram-attributes.js";
import { RecoveryError } from "../recovery/recovery-error.js";
import { TAG_SIZE } from "../recovery/spare-tag.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import type { GuardContext } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import { withVmPaused } from "./pause.js";
import { tellTrouble } from "./tell-trouble.js";

/** An overlay in place, after a reset of the guest. */
export interface ForgivenPage {
  readonly overlay: OverlayIdentity;
  /** Offsets of the pages that were lost before the reset: nothing of them is expected any more. */
  readonly lost: readonly number[];
}

/** Never throws: what cannot be put back stays as it is, and is told. */
export async function putLargePagesBack(guard: GuardContext, pages: readonly ForgivenPage[]): Promise<void> {
  if (pages.length === 0) return;
  const open = new Set<ForgivenPage>();
  try {
    refuseSharers(guard);
    for (const page of pages) {
      recordHealing(guard, page);
      open.add(page);
    }
    guard.onStep("heal-recorded");
    const work = (_: PauseLease, held: HeldThread): void => putAllBack(guard, open, held);
    await withVmPaused(guard, { step: "heal-paused", work });
  } catch (error) {
    tellHealFailure(guard, error);
    for (const page of open) noteUnhealed(guard, page, error);
  }
}

/** The large page stays replaced: says so, and why. */
export function tellHealFailure(guard: GuardContext, error: unknown): void {
  guard.journal.tell({
    event: "warning",
    code: codeOf(error),
    message: `After the reset the replaced large page stays replaced: ${messageOf(error)}`,
  });
}

function refuseSharers(guard: GuardContext): void {
  const sharers = guard.sharers.lookNow();
  if (sharers.length === 0) return;
  throw new GuardError("HM_HEAL_SHARED", "Other processes map the VM's RAM and would see it change", {
    present: sharers.join(", "),
  });
}

function recordHealing(guard: GuardContext, { overlay, lost }: ForgivenPage): void {
  guard.journal.require({
    event: "healing",
    hva: hex(overlay.base),
    gpa: guestAddress(guard, overlay.base),
    offset: Number(overlay.offset),
    pageSize: overlay.size,
    lost,
  });
}

/** @param open pages without an outcome; those that get one leave it */
function putAllBack(guard: GuardContext, open: Set<ForgivenPage>, held: HeldThread): void {
  const { placed } = readOverlays(guard.pid);
  for (const page of open) {
    open.delete(page);
    try {
      tellOutcome(guard, page, putOneBack(guard, held, page, placed));
    } catch (error) {
      tellHealFailure(guard, error);
      noteUnhealed(guard, page, error);
    }
    guard.onStep("heal-outcome-recorded");
  }
}

function putOneBack(
  guard: GuardContext,
  held: HeldThread,
  { overlay, lost }: ForgivenPage,
  overlays: readonly PlacedOverlay[],
): HealOutcome {
  const placed = overlays.find((one) => one.overlay.base === overlay.base);
  if (placed === undefined) {
    throw new RecoveryError("HM_HEAL_GONE", "The replacement is no longer in place", {
      present: `something else at ${hex(overlay.base)}`,
      remedy: "Nothing: that memory was unplugged",
    });
  }
  const { device, inode } = overlay;
  const attributes = guard.attributesOf({ ...placed.mapping, device, inode });
  const { onStep, processDescriptor } = guard;
  using remote = held.borrow();
  const outcome = healLargePage(remote, { placed, processDescriptor, forgiven: new Set(lost), onStep });
  if (outcome !== "healed") return outcome;
  renewAdvice(guard, remote, overlay, attributes);
  // SAFETY: our own page, that named what is no longer there.
  if (placed.tag !== undefined) remote.call("munmap", placed.tag.mapping.start, TAG_SIZE);
  return outcome;
}

/** The large page is in place: trouble from here on must not make it look undone. */
export function renewAdvice(
  guard: GuardContext,
  remote: RemoteCalls,
  { base, size }: Pick<OverlayIdentity, "base" | "size">,
  attributes: RamAttributes,
): void {
  try {
    copyAttributes(remote, base, size, attributes);
  } catch (error) {
    tellTrouble(guard, "The large page is back, but without what QEMU had advised for it", error);
  }
  guard.onStep("advice-renewed");
}

/** Says that a large page is in its place again. */
export function tellHealed(
  guard: GuardContext,
  { base, size }: Pick<OverlayIdentity, "base" | "size">,
): void {
  const gpa = guestAddress(guard, base);
  guard.journal.tell({ event: "healed", gpa, pageSize: size, hva: hex(base) });
}

function tellOutcome(guard: GuardContext, { overlay }: ForgivenPage, outcome: HealOutcome): void {
  if (outcome === "healed") return tellHealed(guard, overlay);
  const gpa = guestAddress(guard, overlay.base);
  const hva = hex(overlay.base);
  guard.journal.note({ event: "unhealed", hva, code: "HM_HEAL_POOL_EMPTY", lost: [] });
  guard.journal.tell({
    event: "warning",
    code: "HM_HEAL_POOL_EMPTY",
    message:
      `No free large page of ${overlay.size} bytes for gpa ${gpa ?? "unknown"}: the small pages stay, their lost pages are usable ` +
      "again. Raise the pool; the next reset tries again",
  });
}

function noteUnhealed(guard: GuardContext, { overlay, lost }: ForgivenPage, error: unknown): void {
  guard.journal.note({ event: "unhealed", hva: hex(overlay.base), code: codeOf(error), lost });
}

function guestAddress(guard: GuardContext, base: Hva): string | null {
  const guest = guard.vm?.gpaOf(base) ?? null;
  return guest === null ? null : hex(guest);
}

function codeOf(error: unknown): string {
  return error instanceof HugemendError ? error.code : "HM_HEAL_FAILED";
}
