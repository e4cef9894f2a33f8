/** Steps 5 and 6 of the walk for one held thread, with a spare that has its memory already. */

import { closeSync } from "node:fs";
import type { Trigger } from "../ledger/events.js";
import type { LargePage } from "../recovery/large-page.js";
import type { PopulatedSpare } from "../recovery/populated-spare.js";
import { placePopulated } from "../recovery/populated-swap.js";
import type { Salvaged } from "../recovery/salvage.js";
import { hasThreadAdrift } from "../tracee/adrift.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext } from "./guard-context.js";
import { openBacking } from "./open-backing.js";
import { discardSpare, prepareSpares } from "./prepare-spares.js";
import { recordIntent, refuseIntact } from "./record-intent.js";
import { restoreBusHandler } from "./release.js";
import type { Replaced } from "./replaced.js";
import { tellTrouble } from "./tell-trouble.js";

/** @returns what became of it @throws HugemendError: the mapping is as it was, and the spare goes */
export function replaceFromSpare(
  guard: GuardContext,
  held: HeldThread,
  page: LargePage,
  spare: PopulatedSpare,
  { trigger, fillWhy }: { readonly trigger: Trigger; readonly fillWhy: string },
): Replaced {
  const { file, identity, source, theirs } = openBacking(guard, page);
  const forced = held.canDeliver;
  let salvaged: Salvaged | undefined;
  try {
    using remote = held.borrow();
    salvaged = placePopulated(remote, {
      page,
      spare,
      source,
      theirs,
      onStep: guard.onStep,
      accept: ({ lost }) => refuseIntact(guard, page, lost),
      commit: ({ lost }) =>
        recordIntent(guard, { page, file: identity, trigger, fill: "eager", fillWhy }, lost),
    });
    restoreBusHandler(guard, remote, forced);
  } catch (error) {
    if (salvaged === undefined) {
      // Whatever that thread still does: what it moves is complete, and says what it is.
      if (hasThreadAdrift(guard.pid)) guard.populated.leave(spare);
      else if (spare.spoiled) discardSpare(guard, guard.populated, spare);
      throw error;
    }
    tellTrouble(guard, "After the large page was replaced", error);
  } finally {
    closeSync(file);
  }
  const begin = (): void => {
    guard.populated.used(spare);
    spare.release();
    guard.later(() => prepareSpares(guard));
  };
  return { fill: "eager", ...salvaged, begin };
}
