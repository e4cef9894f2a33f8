import type { PauseLease } from "../qemu/pause-lease.js";
import type { GuardContext } from "./guard-context.js";
import { GuardError } from "./guard-error.js";

/** How long a thread at SIGBUS stands before it may try again, so that QEMU gets the chance to park it. */
const BOUNCE_MS = 3;

/**
 * Pauses the whole VM. QEMU answers `stop` only when every vCPU has come to rest, but some may stand at a SIGBUS: they repeat
 * their access again and again until QEMU has parked them. Never wait for QMP with a thread held: it may hold QEMU's big lock.
 *
 * @param guard the VM
 * @param release lets go of further threads at each bounce
 * @throws GuardError HM_GUARD_NO_QMP, QemuError
 */
export async function pauseWhileBouncing(
  guard: GuardContext,
  release: () => void = () => {},
): Promise<PauseLease> {
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
    return await guard.vm.pause();
  } finally {
    clearInterval(timer);
    bounce();
  }
}
