import type { LostRange, Trigger } from "../ledger/events.js";
import { type Hva, hex, hva } from "../linux/address.js";
import type { LargePage } from "../recovery/large-page.js";
import { lostRanges } from "../recovery/lost-ranges.js";
import { giveBack } from "./give-back.js";
import type { GuardContext } from "./guard-context.js";
import { guestAddress } from "./guest-address.js";
import type { Replaced } from "./replaced.js";

/** How a recovery went; times in milliseconds. */
export interface RecoveryCourse {
  readonly trigger: Trigger;
  readonly quiesced: boolean;
  /** How long the faulting thread stood, or the one that was borrowed if none did. */
  readonly stall: number;
  /** How long the whole VM stood, 0 if it was not paused. */
  readonly downtime: number;
  readonly total: number;
}

/** Records and announces a finished recovery. */
export function tellRecovered(
  guard: GuardContext,
  page: LargePage,
  replaced: Replaced,
  course: RecoveryCourse,
): void {
  guard.replaced.replaced(page.base, replaced.lost);
  const { trigger, quiesced, stall, downtime, total } = course;
  guard.journal.tell({
    event: "recovered",
    hva: hex(page.base),
    gpa: guestAddress(guard, page.base),
    offset: Number(page.offset),
    pageSize: page.size,
    lost: lostRangesOf(guard, page.base, replaced.lost),
    salvagedBytes: replaced.bytes,
    trigger,
    fill: replaced.fill,
    quiesced,
    ms: { stall: rounded(stall), downtime: rounded(downtime), total: rounded(total) },
  });
  guard.onStep("outcome-recorded");
  // Whoever fills later gives back when that is done.
  if (replaced.fill === "eager") guard.later(() => giveBack(guard, page, replaced.lost.length));
}

/** @param base first byte of the large page @param lost ascending byte offsets in it @returns for an event */
export function lostRangesOf(guard: GuardContext, base: Hva, lost: readonly number[]): LostRange[] {
  return lostRanges(lost).map(({ offset, bytes }) => lostRange(guard, hva(base + BigInt(offset)), bytes));
}

function lostRange(guard: GuardContext, address: Hva, bytes: number): LostRange {
  return { gpa: guestAddress(guard, address), bytes };
}

/** As events write times: three decimals. */
export function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
