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
  guard.onStep("fill-full");
  attempt(guard, () => spare.note({ descriptor: null, page }));
  if (traced) attempt(guard, () => closeTheirs(guard, spare.theirs));
  spare.release();
  closeDescriptor(source.file);
  guard.onStep("fill-closed");
  guard.replaced.filled(page.base, result.lost);
  const lostBytes = result.lost.length * SMALL_PAGE;
  guard.journal.tell({
    event: "filled",
    hva: hex(page.base),
    gpa: guestAddress(guard, page.base),
    pageSize: page.size,
    lost: lostRangesOf(guard, page.base, result.lost),
    salvagedBytes: page.size - lostBytes,
    large: { ranges: result.ranges, collapsed: result.collapsed },
    ms: { total: rounded(performance.now() - since) },
  });
  guard.onStep("fill-recorded");
  giveBack(guard, page, result.lost.length);
}

function closeTheirs(guard: GuardContext, theirs: number): void {
  // SAFETY: a descriptor that nothing in the VM knows of, and that watches nothing any more.
  guard.tracee.withAny((remote) => remote.call("close", theirs));
}

function attempt(guard: GuardContext, action: () => void): void {
  try {
    action();
  } catch (error) {
    tellTrouble(guard, "After a replacement was filled", error);
  }
}
