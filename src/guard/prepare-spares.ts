/** Laying out spares in the VM, and taking them out again: always in a thread that is borrowed for it. */

import { readOverlays } from "../recovery/classify.js";
import { memoryNeeded } from "../recovery/plan.js";
import type { PopulatedSpare } from "../recovery/populated-spare.js";
import { hasThreadAdrift } from "../tracee/adrift.js";
import type { GuardContext } from "./guard-context.js";
import type { AnySpare, Spares } from "./spares.js";
import { removeLeftovers } from "./takeover.js";
import { tellTrouble } from "./tell-trouble.js";

/** Tries to find a thread that can be borrowed: each waits twice as long as the one before. */
const MOST_TRIES = 6;
const FIRST_WAIT_MS = 100;
/** While a thread stands at an error. */
const BUSY_MS = 5;

/** Lays out what is missing while the guard attaches, and gives it its memory at once. Never throws. */
export function prepareFirstSpares(guard: GuardContext): void {
  prepareSpares(guard);
  for (const spare of guard.populated.all)
    while (guard.populated.has(spare) && !spare.ready) populate(guard, spare);
}

/**
 * Makes all that is missing. Never throws. If no thread can be borrowed right now (all of them may stand at errors) it is tried again:
 * meanwhile large pages are replaced without a spare.
 */
export function prepareSpares(guard: GuardContext, tries = 1): void {
  const { spares, populated } = guard;
  if (!spares.wanting && !populated.wanting) return;
  // A new region could lie where a call that is still to come thinks of an old one.
  if (hasThreadAdrift(guard.pid)) return;
  try {
    guard.tracee.withAny((remote) => {
      spares.prepare(remote);
      populated.prepare(remote);
    });
  } catch (error) {
    if (tries === MOST_TRIES) return tellTrouble(guard, "The next spare region could not be laid out", error);
    const again = (): void => guard.later(() => prepareSpares(guard, tries + 1));
    setTimeout(again, FIRST_WAIT_MS * 2 ** tries).unref();
    return;
  }
  // The memory comes when the thread is gone again: it takes longer than all the rest.
  for (const spare of populated.all) if (!spare.ready) setImmediate(() => populateSlowly(guard, spare));
}

/** Whoever stands at an error goes first. */
function populateSlowly(guard: GuardContext, spare: PopulatedSpare): void {
  if (!guard.populated.has(spare) || spare.ready) return;
  if (guard.waiting.any()) return void setTimeout(() => populateSlowly(guard, spare), BUSY_MS).unref();
  populate(guard, spare);
  setImmediate(() => populateSlowly(guard, spare));
}

function populate(guard: GuardContext, spare: PopulatedSpare): void {
  const { size } = spare.region;
  try {
    if (spare.begun || guard.view.headroom.bytes(memoryNeeded(size)) >= memoryNeeded(size))
      return void spare.populateNext(guard.pid);
    discardSpare(
      guard,
      guard.populated,
      spare,
      "the VM's control group, or the host, has no memory for a spare",
    );
  } catch (error) {
    tellTrouble(guard, "A spare region could not be given its memory", error);
    discardSpare(guard, guard.populated, spare, "a spare could not be given its memory");
  }
}

/** Takes one that cannot be used any more out of the VM, soon. @param why there is to be no other; empty: the next one is laid out */
export function discardSpare<One extends AnySpare>(
  guard: GuardContext,
  spares: Spares<One>,
  spare: One,
  why = "",
): void {
  spares.discard(spare, why);
  guard.later(() => prepareSpares(guard));
}

/** Leaves nothing behind in the VM. Never throws. */
export function removeSpares(guard: GuardContext): void {
  const { pid, spares, populated } = guard;
  if (hasThreadAdrift(pid)) return;
  try {
    const ours = spares.all.length + populated.all.length;
    // More than ours: tags whose replacements are gone without our doing, because QEMU maps its RAM anew at a reset.
    const more = readOverlays(pid).stray.length > ours;
    if (!more && !spares.any && !populated.any) return;
    guard.tracee.withAny((remote) => {
      spares.remove(remote);
      populated.remove(remote);
      if (more) removeLeftovers(remote, readOverlays(pid));
    });
  } catch (error) {
    tellTrouble(guard, "The spare regions stay in the VM until the next guard comes", error);
  }
}
