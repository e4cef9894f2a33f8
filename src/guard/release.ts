/** Step 7 of the walk: the thread repeats its access, and QEMU's SIGBUS handler is as QEMU left it. */

import { hasSignal, readCaughtSignals } from "../linux/procfs/status.js";
import { signal, signalBit } from "../linux/signals.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { writeSignalHandler } from "../tracee/signal-handler.js";
import type { GuardContext } from "./guard-context.js";
import { tellTrouble } from "./tell-trouble.js";

/**
 * Puts QEMU's handler back if the kernel has reset it: a SIGBUS forced on a thread that blocks SIGBUS (QEMU's main loop, iothreads
 * and I/O workers do) sets SIG_DFL for the whole process and unblocks the signal in that thread (kernel/signal.c
 * force_sig_info_to_task).
 *
 * @param forced whether the borrowed thread stopped for such a SIGBUS: then it blocks the signal again if it did before
 */
export function restoreBusHandler(guard: GuardContext, remote: RemoteCalls, forced: boolean): void {
  if (guard.busHandler === undefined) return;
  const gone = handlerIsGone(guard, remote.tid);
  if (gone) writeSignalHandler(remote, signal.SIGBUS, guard.busHandler);
  if (guard.busMasks.settle(remote.tid, forced, gone, performance.now())) {
    remote.signalMask |= signalBit(signal.SIGBUS);
  }
}

/**
 * Lets a thread repeat its access. Each way out of a withheld SIGBUS leads through here or through a recovery in that very
 * thread: another one must not get its signal mask.
 *
 * @throws TraceeError, LinuxError if the handler cannot be put back; the thread is let go all the same
 */
export function releaseToRepeat(guard: GuardContext, held: HeldThread): void {
  try {
    const { canDeliver, tid } = held;
    if (canDeliver && (busHandlerIsGone(guard, held) || guard.busMasks.owes(tid, performance.now()))) {
      using remote = held.borrow();
      restoreBusHandler(guard, remote, true);
    }
  } finally {
    held.withhold();
  }
}

/** The same where nobody could do anything about a failure: it is told. */
export function bounceToRepeat(guard: GuardContext, held: HeldThread): void {
  try {
    releaseToRepeat(guard, held);
  } catch (error) {
    tellTrouble(guard, `QEMU's SIGBUS handler could not be put back in thread ${held.tid}`, error);
  }
}

/** Whether QEMU had a handler for SIGBUS that is not installed now: delivering the signal would end QEMU. */
export function busHandlerIsGone(guard: GuardContext, { tid }: HeldThread): boolean {
  return guard.busHandler !== undefined && handlerIsGone(guard, tid);
}

/** The same as the kernel has it, whatever QEMU had. @param tid a thread of the VM */
export function handlerIsGone(guard: GuardContext, tid: number): boolean {
  return !hasSignal(readCaughtSignals(guard.pid, tid), signal.SIGBUS);
}
