/** Step 7 of the walk: the thread repeats its access, and QEMU's SIGBUS handler is as QEMU left it. */

import { hasSignal, readCaughtSignals } from "../linux/procfs/status.js";
import { signal, signalBit } from "../linux/signals.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { writeSignalHandler } from "../tracee/signal-handler.js";
import type { GuardContext } from "./guard-context.js";

/**
 * Puts QEMU's handler back if the kernel has reset it: a SIGBUS forced on a thread that blocks SIGBUS (QEMU's main loop and
 * iothreads do) sets SIG_DFL and unblocks the signal (kernel/signal.c force_sig_info_to_task).
 */
export function restoreBusHandler(guard: GuardContext, remote: RemoteCalls): void {
  if (guard.busHandler === undefined || !handlerIsGone(guard, remote.tid)) return;
  writeSignalHandler(remote, signal.SIGBUS, guard.busHandler);
  remote.signalMask |= signalBit(signal.SIGBUS);
}

/** Lets a thread repeat its access. */
export function releaseToRepeat(guard: GuardContext, held: HeldThread): void {
  if (guard.busHandler !== undefined && handlerIsGone(guard, held.tid)) {
    using remote = held.borrow();
    restoreBusHandler(guard, remote);
  }
  held.withhold();
}

function handlerIsGone(guard: GuardContext, tid: number): boolean {
  return !hasSignal(readCaughtSignals(guard.pid, tid), signal.SIGBUS);
}
