/** Steps 5 and 6 of the walk for one held thread: salvage and swap, with the intent recorded before the swap. */

import { closeSync } from "node:fs";
import { LinuxError } from "../linux/linux-error.js";
import type { LargePage } from "../recovery/large-page.js";
import { memoryNeeded } from "../recovery/plan.js";
import { PopulatedSpare } from "../recovery/populated-spare.js";
import type { Salvaged } from "../recovery/salvage.js";
import { swapLargePage } from "../recovery/swap.js";
import type { HeldThread } from "../tracee/held-thread.js";
import { RemoteCallError } from "../tracee/remote-calls.js";
import type { Alarm, FillPlan, GuardContext } from "./guard-context.js";
import { replaceLazily } from "./lazy/replace-lazily.js";
import { openBacking } from "./open-backing.js";
import { recordIntent } from "./record-intent.js";
import { restoreBusHandler } from "./release.js";
import { replaceFromSpare } from "./replace-from-spare.js";
import type { Replaced } from "./replaced.js";
import { tellTrouble } from "./tell-trouble.js";

/**
 * @param alarm what is wrong
 * @param plan how to fill the replacement
 * @returns what became of it; `begin` has to be called once the thread goes on
 * @throws HugemendError: the mapping is as it was
 */
export function replaceLargePage(
  guard: GuardContext,
  held: HeldThread,
  page: LargePage,
  alarm: Alarm,
  plan: FillPlan,
): Replaced {
  const attributes = guard.attributesOf(page.mapping);
  const spares = plan.fill === "lazy" ? guard.spares : guard.populated;
  const spare = spares.find(page.mapping, page.size, attributes);
  if (typeof spare === "string" || (spare instanceof PopulatedSpare && !spare.ready)) {
    const fillWhy = typeof spare === "string" && plan.fill === "lazy" ? spare : plan.fillWhy;
    return replaceEagerly(guard, held, page, alarm, { fillWhy });
  }
  try {
    return spare instanceof PopulatedSpare
      ? replaceFromSpare(guard, held, page, spare, { ...alarm, ...plan })
      : replaceLazily(guard, held, page, spare, { ...alarm, ...plan });
  } catch (error) {
    if (!(error instanceof RemoteCallError || error instanceof LinuxError)) throw error;
    // The kernel would not fill or move the spare region: nothing has happened, and there is another way, if there is memory for it.
    if (guard.view.ownHeadroom.bytes(memoryNeeded(page.size)) < memoryNeeded(page.size)) throw error;
    return replaceEagerly(guard, held, page, alarm, { fillWhy: error.message });
  }
}

function replaceEagerly(
  guard: GuardContext,
  held: HeldThread,
  page: LargePage,
  { trigger }: Alarm,
  { fillWhy }: Pick<FillPlan, "fillWhy">,
): Replaced {
  const attributes = guard.attributesOf(page.mapping);
  const { file, identity, source } = openBacking(guard, page);
  const forced = held.canDeliver;
  let salvaged: Salvaged | undefined;
  try {
    using remote = held.borrow();
    salvaged = swapLargePage(remote, {
      page,
      source,
      attributes,
      processDescriptor: guard.processDescriptor,
      poisonWith: guard.policy.poisonWith ?? "uffd",
      onStep: guard.onStep,
      commit: ({ lost }) =>
        recordIntent(guard, { page, file: identity, trigger, fill: "eager", fillWhy }, lost),
    });
    restoreBusHandler(guard, remote, forced);
  } catch (error) {
    if (salvaged === undefined) throw error;
    tellTrouble(guard, "After the large page was replaced", error);
  } finally {
    closeSync(file);
  }
  return { fill: "eager", ...salvaged, begin: () => {} };
}
