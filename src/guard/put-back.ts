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
import { clearForgiven } from "./forgive.js";
import type { GuardContext } from "./guard-context.js";
import { guestAddress } from "./guest-address.js";
import { refuseBeforePause, refuseWhilePaused } from "./heal-obstacles.js";
import { withVmPaused } from "./pause.js";
import type { ForgivenPage } from "./replaced-pages.js";
import { tellTrouble } from "./tell-trouble.js";

/**
 * Where a large page cannot come back, at least what was lost of it is usable again: that is what the guest expects after a reset.
 * Never throws: what cannot be put back stays as it is, and is told.
 */
export async function putLargePagesBack(guard: GuardContext, pages: readonly ForgivenPage[]): Promise<void> {
  // A replacement that something has split is listed once for each of its parts.
  const open: OpenPages = new Map(pages.map((page) => [page.overlay.base, page]));
  if (open.size === 0) return;
  try {
    refuseBeforePause(guard);
    for (const page of open.values()) recordHealing(guard, page);
    guard.onStep("heal-recorded");
    const work = (lease: PauseLease, held: HeldThread): void => putAllBack(guard, open, lease, held);
    await withVmPaused(guard, { step: "heal-paused", work });
  } catch (error) {
    leaveReplaced(guard, [...open.values()], error);
  }
}

/** Pages without an outcome. */
type OpenPages = Map<Hva, ForgivenPage>;

/** The large pages stay replaced. @param held a thread that stands */
function leaveReplaced(
  guard: GuardContext,
  pages: readonly ForgivenPage[],
  error: unknown,
  held?: HeldThread,
): void {
  if (pages.length === 0) return;
  const { cleared, trouble } = clearForgiven(guard, pages, held);
  const code = codeOf(error);
  const stays = pages.map(({ overlay }) => guard.replaced.stays(overlay.base, code));
  const news = cleared > 0 || stays.includes(true);
  // Nothing was begun without a monitor, so there is nothing to end.
  if (!news && guard.vm === undefined) return;
  for (const { overlay } of pages) {
    const lost = guard.replaced.forgiven(overlay.base);
    guard.journal.note({ event: "unhealed", hva: hex(overlay.base), code, lost: [...lost] });
    if (code === "HM_HEAL_GONE") guard.replaced.gone(overlay.base);
  }
  if (news) tellUnhealed(guard, code, pages.length, { error, cleared, trouble });
}

interface Unhealed {
  readonly error: unknown;
  readonly cleared: number;
  readonly trouble: unknown;
}

function tellUnhealed(
  guard: GuardContext,
  code: string,
  count: number,
  { error, cleared, trouble }: Unhealed,
): void {
  const what = count === 1 ? "the replaced large page stays" : `${count} replaced large pages stay`;
  const usable =
    cleared === 0 ? "" : `. ${cleared} lost ${cleared === 1 ? "page" : "pages"} of 4 KiB can be used again`;
  const lost =
    trouble === undefined ? "" : `. What is lost stays so until it is touched: ${messageOf(trouble)}`;
  guard.journal.tell({
    event: "warning",
    code,
    message: `After the reset ${what} replaced: ${messageOf(error)}${usable}${lost}`,
  });
}

/** It is not even known what could be done. */
export function tellHealFailure(guard: GuardContext, error: unknown): void {
  guard.journal.tell({
    event: "warning",
    code: codeOf(error),
    message: `After the reset what is replaced stays replaced: ${messageOf(error)}`,
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

/** Each page that gets an outcome leaves `open`. */
function putAllBack(guard: GuardContext, open: OpenPages, lease: PauseLease, held: HeldThread): void {
  const { placed } = readOverlays(guard.pid);
  refuseWhilePaused(
    guard,
    lease,
    placed.filter(({ overlay }) => open.has(overlay.base)),
  );
  for (const page of open.values()) {
    open.delete(page.overlay.base);
    try {
      tellOutcome(guard, page, putOneBack(guard, held, page, placed));
    } catch (error) {
      leaveReplaced(guard, [page], error, held);
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
  guard.replaced.gone(base);
  const gpa = guestAddress(guard, base);
  guard.journal.tell({ event: "healed", gpa, pageSize: size, hva: hex(base) });
}

function tellOutcome(guard: GuardContext, { overlay, lost }: ForgivenPage, outcome: HealOutcome): void {
  if (outcome === "healed") return tellHealed(guard, overlay);
  const gpa = guestAddress(guard, overlay.base);
  const code = "HM_HEAL_POOL_EMPTY";
  guard.replaced.cleared(overlay.base, lost);
  guard.journal.note({ event: "unhealed", hva: hex(overlay.base), code, lost: [] });
  // QEMU may tell of one reset twice, and of the next one while the pool is as empty.
  if (!guard.replaced.stays(overlay.base, code) && lost.length === 0) return;
  guard.journal.tell({
    event: "warning",
    code,
    message:
      `No free large page of ${overlay.size} bytes for gpa ${gpa ?? "unknown"}: the small pages stay, their lost pages are usable ` +
      "again. Raise the pool; the next reset tries again",
  });
}

function codeOf(error: unknown): string {
  return error instanceof HugemendError ? error.code : "HM_HEAL_FAILED";
}
