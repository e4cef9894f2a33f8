/** Recovery while the whole VM stands still, so that no disk I/O of QEMU can still land in the old page. */

import { classify } from "../recovery/classify.js";
import type { LargePage } from "../recovery/large-page.js";
import { RecoveryError } from "../recovery/recovery-error.js";
import type { GuardContext, PauseLease, StoppedAtError } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import { replaceLargePage } from "./replace-large-page.js";
import { tellRecovered } from "./tell-recovered.js";

/** How long a thread at SIGBUS stands before it may try again, so that QEMU gets the chance to park it. */
const BOUNCE_MS = 3;

/** @throws HugemendError: the mapping is as it was; the VM runs unless the operator had paused it */
export async function recoverPaused(
  guard: GuardContext,
  stopped: StoppedAtError,
  page: LargePage,
): Promise<void> {
  const begun = performance.now();
  const lease = await pauseWhileBouncing(guard, stopped);
  const paused = performance.now();
  guard.onStep("paused");
  let stall = 0;
  try {
    const salvaged = replaceWhilePaused(guard, stopped, page, lease);
    stall = performance.now() - stopped.since;
    await lease.resume();
    guard.onStep("released");
    const now = performance.now();
    const times = { stall, downtime: now - paused, total: now - begun };
    tellRecovered(guard, page, salvaged, { quiesced: true, ...times });
  } finally {
    await lease.resume();
  }
}

/**
 * QEMU answers `stop` only when every vCPU has come to rest, but ours stands at its SIGBUS: let it repeat the access again
 * and again until QEMU has parked it. Never wait for QMP with a thread held: it may hold QEMU's big lock.
 */
async function pauseWhileBouncing(guard: GuardContext, stopped: StoppedAtError): Promise<PauseLease> {
  if (guard.vm === undefined)
    throw new GuardError("HM_GUARD_NO_QMP", "The VM cannot be paused without a QMP socket");
  const bounce = (): void => {
    stopped.held.withhold();
    guard.waiting.bounce();
  };
  const timer = setInterval(bounce, BOUNCE_MS);
  try {
    return await guard.vm.pause((event) => guard.journal.require(event));
  } finally {
    clearInterval(timer);
    bounce();
  }
}

function replaceWhilePaused(
  guard: GuardContext,
  stopped: StoppedAtError,
  page: LargePage,
  lease: PauseLease,
) {
  const held = guard.tracee.holdAny([stopped.held.tid]);
  try {
    const now = classify(guard.pid, stopped.address);
    if (now.kind !== "large-page" || now.page.base !== page.base) {
      throw new RecoveryError("HM_PAUSE_CHANGED", "The RAM mapping changed while the VM was being paused", {
        present: now.kind,
        expected: "the same large page",
      });
    }
    if (!lease.held()) {
      throw new RecoveryError("HM_PAUSE_LOST", "Somebody resumed the VM in the middle of the recovery", {
        remedy: "Leave the VM paused until the guard resumes it",
      });
    }
    return replaceLargePage(guard, held, now.page);
  } finally {
    held.withhold();
  }
}
