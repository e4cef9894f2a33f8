/** The status word of wait4(2) for traced threads. */

import { signal } from "./signals.js";

/** PTRACE_EVENT_… (include/uapi/linux/ptrace.h). */
export const ptraceEvent = { CLONE: 3, EXEC: 4, EXIT: 6, STOP: 128 } as const;

/** What a traced thread just did. */
export type WaitStatus =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number }
  | { readonly kind: "signal"; readonly signal: number }
  | { readonly kind: "system-call" }
  | { readonly kind: "event"; readonly event: number; readonly signal: number }
  | { readonly kind: "continued" };

/** With PTRACE_O_TRACESYSGOOD a system call stop is SIGTRAP with bit 7. */
const SYSTEM_CALL_STOP = signal.SIGTRAP | 0x80;

/** @param status 32 bits from wait4 @returns what happened (include/uapi/linux/wait.h, ptrace(2)) */
export function decodeWaitStatus(status: number): WaitStatus {
  if (status === 0xffff) return { kind: "continued" };
  if ((status & 0x7f) === 0) return { kind: "exited", status: (status >> 8) & 0xff };
  if ((status & 0xff) !== 0x7f) return { kind: "killed", signal: status & 0x7f };
  const stopSignal = (status >> 8) & 0xff;
  const event = (status >> 16) & 0xffff;
  if (event !== 0) return { kind: "event", event, signal: stopSignal };
  if (stopSignal === SYSTEM_CALL_STOP) return { kind: "system-call" };
  return { kind: "signal", signal: stopSignal };
}
