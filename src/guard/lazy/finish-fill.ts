/** The end of a lazy recovery: what was opened for it in the VM is closed, and the poisoned page may leave its file. */

import { hex } from "../../linux/address.js";
import { closeDescriptor } from "../../linux/pidfd.js";
import { SMALL_PAGE } from "../../recovery/large-page.js";
import { giveBack } from "../give-back.js";
import type { GuardContext } from "../guard-context.js";
import { guestAddress } from "../guest-address.js";
import { lostRangesOf, rounded } from "../tell-recovered.js";
import { tellTrouble } from "../tell-trouble.js";
import type { Filled } from "./lazy-fills.js";

/** So many addresses in one message. */
const MOST_TOLD = 8;

/** Fills what is left when the VM is no longer traced. @returns whether there was anything: then descriptors of ours are still open in the VM */
export async function finishLeft(guard: GuardContext): Promise<boolean> {
  await guard.fills.finishAll();
  let any = false;
  for (let filled = guard.fills.take(); filled !== undefined; filled = guard.fills.take()) {
    finishFill(guard, filled, false);
    any = true;
  }
  return any;
}

/** Never throws: the replacement is full, and stays so. @param traced whether a thread of the VM can be borrowed */
export function finishFill(guard: GuardContext, filled: Filled, traced = true): void {
  const { page, spare, source, result, since } = filled;
  const lost = lostThen(guard, filled);
  guard.onStep("fill-full");
  guard.replaced.filled(page.base, lost);
  const lostBytes = lost.length * SMALL_PAGE;
  // Before the tag forgets the userfaultfd: whoever comes after our death then tells it once more, rather than nobody.
  guard.journal.tell({
    event: "filled",
    hva: hex(page.base),
    gpa: guestAddress(guard, page.base),
    pageSize: page.size,
    lost: lostRangesOf(guard, page.base, lost),
    salvagedBytes: page.size - lostBytes,
    large: { ranges: result.ranges, collapsed: result.collapsed },
    ms: { total: rounded(performance.now() - since) },
  });
  guard.onStep("fill-recorded");
  attempt(guard, () => spare.note({ descriptor: null, page }));
  if (traced) guard.closes.close(spare.theirs);
  spare.release();
  closeDescriptor(source.file);
  guard.onStep("fill-closed");
  giveBack(guard, page, lost.length);
}

/**
 * What was lost when it was filled may be forgiven when a reset of the guest is found out, what has gone bad since may not: the reset may have
 * been before that. So of what was looked for only that counts which the ledger knows of.
 */
function lostThen(guard: GuardContext, { page, result, lookedFor }: Filled): readonly number[] {
  const known = lookedFor ? guard.replaced.lost(page.base) : undefined;
  if (known === undefined) return result.lost;
  const others = result.lost.filter((offset) => !known.has(offset));
  if (others.length > 0)
    guard.journal.tell({
      event: "warning",
      code: "HM_LOST_SINCE",
      message:
        `Of the replacement at ${hex(page.base)}, which an earlier guard has filled, ${others.length} more of its 4 KiB are lost than the ledger ` +
        `knows of: at ${others
          .slice(0, MOST_TOLD)
          .map((offset) => hex(page.base + BigInt(offset)))
          .join(", ")}`,
    });
  return result.lost.filter((offset) => known.has(offset));
}

function attempt(guard: GuardContext, action: () => void): void {
  try {
    action();
  } catch (error) {
    tellTrouble(guard, "After a replacement was filled", error);
  }
}
