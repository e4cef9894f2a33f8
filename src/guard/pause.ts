import { setImmediate as nextTurn } from "node:timers/promises";
import type { PauseLease } from "../qemu/pause-lease.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { GuardContext, GuardStep } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import { tellTrouble } from "./tell-trouble.js";

/** How long a thread at SIGBUS stands before it may try again, so that QEMU gets the chance to park it. */
const BOUNCE_MS = 3;
/** How often the VM is paused anew when somebody resumes it before the work has begun. */
const ATTEMPTS = 3;
/** How often QEMU's main loop is asked to stop; each time is at least 5 ms long. */
const ATTEMPTS_TO_HOLD = 20;

/** What is done while the VM stands still. */
export interface WhilePaused<Result> {
  /** Named once the VM stands. */
  readonly step: GuardStep;
  /**
   * Synchronous, so that nothing of the process runs in between. `held` is QEMU's main loop: while it stands, no reset and no `cont`
   * of others comes in between. It is let go afterwards.
   */
  readonly work: (lease: PauseLease, held: HeldThread) => Result;
  /** Lets go of further threads at each bounce. */
  readonly release?: () => void;
}

/**
 * Pauses the whole VM for one piece of work. QEMU answers `stop` and `cont` only when its threads can run, but some may stand
 * at a SIGBUS: they repeat their access again and again until QEMU has parked them, or the page is replaced. Never wait for QMP
 * with a thread held: it may hold QEMU's big lock.
 *
 * @param guard the VM
 * @returns what the work gave, and how long the VM stood, in milliseconds
 * @throws GuardError HM_GUARD_NO_QMP, HM_PAUSE_LOST, QemuError, what the work throws; the VM runs on, unless somebody else had
 *   paused it
 */
export async function withVmPaused<Result>(
  guard: GuardContext,
  { step, work, release = () => {} }: WhilePaused<Result>,
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
    for (let attempt = 1; ; attempt++) {
      const lease = await guard.vm.pause();
      const paused = performance.now();
      let result: Result;
      try {
        bounce();
        guard.onStep(step);
        result = await withMainLoopHeld(guard, lease, work);
      } catch (error) {
        await resumeOrTell(guard, lease);
        if (error instanceof PauseLost && attempt < ATTEMPTS) continue;
        throw error;
      }
      await resumeOrTell(guard, lease);
      return { result, downtime: performance.now() - paused };
    }
  } finally {
    clearInterval(timer);
    bounce();
  }
}

/** Somebody resumed the VM before the work began: nothing was done, and it may be tried again. */
class PauseLost extends GuardError {
  override readonly name: string = "PauseLost";

  constructor() {
    super("HM_PAUSE_LOST", "Somebody resumes the VM whenever it is paused for this", {
      present: `resumed ${ATTEMPTS} times`,
      remedy: "Leave the VM paused until the guard resumes it",
    });
  }
}

async function withMainLoopHeld<Result>(
  guard: GuardContext,
  lease: PauseLease,
  work: WhilePaused<Result>["work"],
): Promise<Result> {
  const held = holdMainLoop(guard);
  try {
    await untilEventsAreRead();
    if (!lease.held()) throw new PauseLost();
    return work(lease, held);
  } finally {
    held.withhold();
  }
}

/** @throws GuardError HM_PAUSE_LOOSE if others stop, but not the main loop */
function holdMainLoop(guard: GuardContext): HeldThread {
  for (let attempt = 1; ; attempt++) {
    const held = guard.tracee.holdAny([guard.pid]);
    if (held.tid === guard.pid) return held;
    held.withhold();
    if (attempt === ATTEMPTS_TO_HOLD) break;
  }
  throw new GuardError(
    "HM_PAUSE_LOOSE",
    "QEMU's main loop cannot be stopped, so others could resume the VM",
    {
      present: `asked ${ATTEMPTS_TO_HOLD} times`,
      remedy: "It may wait for storage; it was left to itself",
    },
  );
}

/**
 * QEMU's main loop sends RESUME in the moment it obeys a `cont`, so once the main loop stands, the event is in our socket. The second
 * turn of Node's event loop has looked at every socket since.
 */
async function untilEventsAreRead(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

/** What was done while the VM stood is done: trouble with going on must not make it look undone. */
async function resumeOrTell(guard: GuardContext, lease: PauseLease): Promise<void> {
  try {
    await lease.resume();
  } catch (error) {
    tellTrouble(guard, "The VM was paused and may not run on", error);
  }
}
