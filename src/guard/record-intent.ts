import type { Trigger } from "../ledger/events.js";
import type { IntentEvent } from "../ledger/internal-events.js";
import { hex } from "../linux/address.js";
import type { LargePage } from "../recovery/large-page.js";
import { RecoveryError } from "../recovery/recovery-error.js";
import type { FillPlan, GuardContext } from "./guard-context.js";
import { guestAddress } from "./guest-address.js";

/** What is written down of a replacement before it is put in place. */
export interface Intention extends Pick<FillPlan, "fill" | "fillWhy"> {
  readonly page: LargePage;
  readonly file: IntentEvent["file"];
  readonly trigger: Trigger;
}

/**
 * Right before the one step that counts.
 *
 * @param lost offsets of the lost 4 KiB that are known, ascending
 * @throws RecoveryError HM_SALVAGE_NOTHING_LOST, LedgerError: then it must not be taken
 */
export function recordIntent(guard: GuardContext, intention: Intention, lost: readonly number[]): void {
  const { page, file, trigger, fill, fillWhy } = intention;
  refuseIntact(guard, page, lost);
  guard.journal.require({
    event: "intent",
    hva: hex(page.base),
    gpa: guestAddress(guard, page.base),
    offset: Number(page.offset),
    pageSize: page.size,
    file,
    lost,
    trigger,
    fill,
    fillWhy,
  });
}

/**
 * A signal without a bad 4 KiB behind it is a riddle: the page may have left its file, so that zeros were read for data, or
 * somebody forged the signal.
 *
 * @throws RecoveryError HM_SALVAGE_NOTHING_LOST
 */
export function refuseIntact(guard: GuardContext, page: LargePage, lost: readonly number[]): void {
  if (lost.length > 0 || guard.acceptsIntact) return;
  throw new RecoveryError(
    "HM_SALVAGE_NOTHING_LOST",
    `The large page at ${hex(page.base)} reads without an error`,
    {
      expected: "at least one bad 4 KiB",
      remedy: "The mapping was left as it was, because what was read may not be what the guest wrote",
    },
  );
}
