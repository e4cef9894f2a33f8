/** Recovery while the whole VM stands still, so that no disk I/O of QEMU can still land in the old page. */

import type { PauseLease } from "../qemu/pause-lease.js";
import { classify } from "../recovery/classify.js";
import type { LargePage } from "../recovery/large-page.js";
import { RecoveryError } from "../recovery/recovery-error.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { Alarm, FillPlan, GuardContext } from "./guard-context.js";
import { withVmPaused } from "./pause.js";
import { bounceToRepeat } from "./release.js";
import { replaceLargePage } from "./replace-large-page.js";
import type { Replaced } from "./replaced.js";
import { tellRecovered } from "./tell-recovered.js";

/** @throws HugemendError: the mapping is as it was; the VM runs unless the operator had paused it */
export async function recoverPaused(
  guard: GuardContext,
  alarm: Alarm,
  page: LargePage,
  plan: FillPlan,
): Promise<void> {
  const { trigger, since } = alarm;
  const replace = (lease: PauseLease, held: HeldThread): { replaced: Replaced; stall: number } => {
    // A thread that nobody stopped at the error stands only for the replacement itself.
    const stands = alarm.held === undefined ? performance.now() : since;
    const replaced = replaceWhilePaused(guard, alarm, page, lease, held, plan);
    const stall = performance.now() - stands;
    replaced.begin();
    return { replaced, stall };
  };
  const letRepeat = (): void => {
    if (alarm.held?.released === false) bounceToRepeat(guard, alarm.held);
  };
  const { result, downtime } = await withVmPaused(guard, {
    step: "paused",
    work: replace,
    release: letRepeat,
  });
  guard.onStep("released");
  const total = performance.now() - since;
  tellRecovered(guard, page, result.replaced, {
    trigger,
    quiesced: true,
    stall: result.stall,
    downtime,
    total,
  });
}

function replaceWhilePaused(
  guard: GuardContext,
  alarm: Alarm,
  page: LargePage,
  lease: PauseLease,
  held: HeldThread,
  plan: FillPlan,
): Replaced {
  const now = classify(guard.view, alarm.address);
  if (now.kind !== "large-page" || now.page.base !== page.base) {
    throw new RecoveryError("HM_PAUSE_CHANGED", "The RAM mapping changed while the VM was being paused", {
      present: now.kind,
      expected: "the same large page",
    });
  }
  if (!lease.drained) {
    throw new RecoveryError(
      "HM_PAUSE_NOT_DRAINED",
      "The VM stands still, but its disk I/O may not be finished",
      {
        present: lease.status,
        expected: "paused",
      },
    );
  }
  return replaceLargePage(guard, held, now.page, alarm, plan);
}
