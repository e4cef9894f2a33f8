/** Recovery without pausing the VM: one thread is borrowed, and released at once. */

import type { LargePage } from "../recovery/large-page.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { Alarm, FillPlan, GuardContext } from "./guard-context.js";
import { replaceLargePage } from "./replace-large-page.js";
import { tellRecovered } from "./tell-recovered.js";

/**
 * @param alarm what is wrong
 * @param page where
 * @param held the thread to borrow: the one that faulted, or any
 * @param plan how to fill the replacement
 * @param stands since when it stands, on performance.now()'s clock
 * @throws HugemendError: the mapping is as it was and the thread still held
 */
export function recoverInPlace(
  guard: GuardContext,
  alarm: Alarm,
  page: LargePage,
  held: HeldThread,
  stands: number,
  plan: FillPlan,
): void {
  const { trigger } = alarm;
  const replaced = replaceLargePage(guard, held, page, alarm, plan);
  held.withhold();
  const released = performance.now();
  replaced.begin();
  guard.onStep("released");
  const total = released - alarm.since;
  tellRecovered(guard, page, replaced, {
    trigger,
    quiesced: false,
    stall: released - stands,
    downtime: 0,
    total,
  });
}
