/**
 * A process's handler for one signal, read and put back as the kernel keeps it: struct kernel_sigaction, 32 bytes on x86-64
 * (handler, flags, restorer, mask).
 *
 * Why: a SIGBUS that is forced on a thread which blocks it resets the handler to SIG_DFL for the whole process and unblocks
 * the signal in that thread (kernel/signal.c force_sig_info_to_task), even if the tracer then withholds it.
 */

import { tryReadProcess, writeProcess } from "../linux/process-memory.js";
import type { RemoteCalls } from "./remote-calls.js";
import { TraceeError } from "./tracee-error.js";

const SIZE = 32;
const SIGNAL_SET_SIZE = 8;

/** @param number a signal @returns the handler, opaque @throws TraceeError, LinuxError */
export function readSignalHandler(remote: RemoteCalls, number: number): Buffer {
  // SAFETY: only asks; the kernel writes into the scope's own data area.
  remote.call("rt_sigaction", number, 0, remote.data, SIGNAL_SET_SIZE);
  const handler = tryReadProcess(remote.pid, remote.data, SIZE);
  if (handler === undefined) throw new TraceeError("HM_TRACEE_GONE", `Process ${remote.pid} cannot be read`);
  return handler;
}

/** @param handler as readSignalHandler gave it @throws TraceeError, LinuxError */
export function writeSignalHandler(remote: RemoteCalls, number: number, handler: Buffer): void {
  writeProcess(remote.pid, remote.data, handler);
  // SAFETY: the handler is the process's own from before. If we die before this line, a second SIGBUS would end the process,
  // as it would have without us: the kernel has reset the handler before we were told.
  remote.call("rt_sigaction", number, remote.data, 0, SIGNAL_SET_SIZE);
}
