import type { PauseLease } from "../qemu/pause-lease.js";
import type { GuardContext } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import { tellTrouble } from "./tell-trouble.js";

/** How long a thread at SIGBUS stands before it may try again, so that QEMU gets the chance to park it. */
const BOUNCE_MS = 3;

/** What is done while the VM stands still; synchronous, so that nothing of the process runs in between. */
export type WhilePaused<Result> = (lease: PauseLease) => Result;

/**
 * Pauses the whole VM for one piece of work. QEMU answers `stop` and `cont` only when its threads can run, but some may stand
 * at a SIGBUS: they repeat their access again and again until QEMU has parked them, or the page is replaced. Never wait for QMP
 * with a thread held: it may hold QEMU's big lock.
 *
 * @param guard the VM
 * @param work done once everything stands still
 * @param release lets go of further threads at each bounce
 * @returns what the work gave, and how long the VM stood, in milliseconds
 * @throws GuardError HM_GUARD_NO_QMP, QemuError, what the work throws; the VM runs on, unless somebody else had paused it
 */
export async function withVmPaused<Result>(
  guard: GuardContext,
  work: WhilePaused<Result>,
  release: () => void = () => {},
): Promise<{ result: Result; downtime: number }> {
  if (guard.vm === undefined) {
    throw new GuardError("HM_GUARD_NO_QMP", "The VM cannot be paused without a QMP socket", {
      remedy: "Give --qmp",
    });
  }
  const bounce = (): void => {
    release();
    guard.waiting.bounce();
  };
  const timer = setInterval(bounce, BOUNCE_MS);
  try {
    const lease = await guard.vm.pause();
    const paused = performance.now();
    let result: Result;
    try {
      bounce();
      result = work(lease);
    } catch (error) {
      await resumeOrTell(guard, lease);
      throw error;
    }
    await resumeOrTell(guard, lease);
    return { result, downtime: performance.now() - paused };
  } finally {
    clearInterval(timer);
    bounce();
  }
}

/** What was done while the VM stood is done: trouble with going on must not make it look undone. */
async function resumeOrTell(guard: GuardContext, lease: PauseLease): Promise<void> {
  try {
    await lease.resume();
  } catch (error) {
    tellTrouble(guard, "The VM was paused and may not run on", error);
  }
}
