/** Recovery without pausing the VM: the faulting thread itself is borrowed, and released at once. */

import type { LargePage } from "../recovery/large-page.js";
import type { GuardContext, StoppedAtError } from "./guard-context.js";
import { replaceLargePage } from "./replace-large-page.js";
import { tellRecovered } from "./tell-recovered.js";

/** @throws HugemendError: the mapping is as it was and the thread still held */
export function recoverInPlace(guard: GuardContext, stopped: StoppedAtError, page: LargePage): void {
  const salvaged = replaceLargePage(guard, stopped.held, page);
  stopped.held.withhold();
  const released = performance.now();
  guard.onStep("released");
  const stall = released - stopped.since;
  tellRecovered(guard, page, salvaged, { quiesced: false, stall, downtime: 0, total: stall });
}
