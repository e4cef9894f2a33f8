/**
 * The walk of an error that nobody has touched yet, from the kernel's report to the end of the recovery: the same steps as for
 * a thread that stopped at it (../memory-error.ts), on behalf of a thread that is borrowed for it.
 */

import { closeSync, openSync } from "node:fs";
import { hex } from "../../linux/address.js";
import { salvageSupport } from "../../linux/procfs/kernel-version.js";
import { mapFilesPath } from "../../linux/procfs/map-files.js";
import { classify } from "../../recovery/classify.js";
import type { LargePage } from "../../recovery/large-page.js";
import { type Plan, planRecovery } from "../../recovery/plan.js";
import { holdsPoison } from "../../recovery/poisoned.js";
import type { Alarm, GuardContext } from "../guard-context.js";
import { gatherFacts } from "../plan-facts.js";
import { recoverInPlace } from "../recover-in-place.js";
import { recoverPaused } from "../recover-paused.js";
import { reasonOf } from "../refusal-reason.js";
import type { ReportedPage } from "./untouched-errors.js";

/** Never throws. What is refused here gets another chance when somebody touches it. */
export async function handleReport(guard: GuardContext, { base, since }: ReportedPage): Promise<void> {
  const alarm: Alarm = { trigger: "AO", address: base, since, held: undefined };
  let page: LargePage | undefined;
  guard.onStep("reported");
  try {
    page = largePageAt(guard, alarm);
    // A report is a hint: somebody else may have that frame now, or a thread was quicker.
    if (page === undefined || !(await isPoisoned(guard, page))) return;
    guard.onStep("poison-found");
    // Nobody stands, so there is time to look for others that map the RAM, until somebody does.
    await guard.sharers.lookUnless(guard.waiting.any);
    const found = classify(guard.view, base);
    if (found.kind !== "large-page" || guard.refused.has(found.page.base)) return;
    page = found.page;
    const plan = planRecovery(gatherFacts(guard, page));
    guard.onStep("planned");
    if (plan.action === "refuse") return refuse(guard, page, plan);
    if (plan.quiesce) return await recoverPaused(guard, alarm, page, plan);
    // QEMU's main loop: while it is held, no reset renews the page in between.
    const held = guard.tracee.holdAny([guard.pid]);
    try {
      recoverInPlace(guard, alarm, page, held, performance.now(), plan);
    } finally {
      held.withhold();
    }
  } catch (error) {
    refuse(guard, page, error);
  }
}

function largePageAt(guard: GuardContext, alarm: Alarm): LargePage | undefined {
  // Reading is what tells, and only some kernels can.
  if (salvageSupport(guard.kernel) !== "ok") return undefined;
  const found = classify(guard.view, alarm.address);
  return found.kind === "large-page" && found.page.mapping.shared ? found.page : undefined;
}

async function isPoisoned(guard: GuardContext, page: LargePage): Promise<boolean> {
  const file = openSync(mapFilesPath(guard.pid, page.mapping), "r");
  try {
    return await holdsPoison(file, page.offset, page.size);
  } finally {
    closeSync(file);
  }
}

/** First law: the mapping is as it was. The first touch tries again, because what stood in the way may be over by then. */
function refuse(guard: GuardContext, page: LargePage | undefined, reason: Plan | unknown): void {
  if (page === undefined) return;
  const { code, message } = reasonOf(reason);
  guard.journal.tell({ event: "refused", hva: hex(page.base), pageSize: page.size, code, message });
}
