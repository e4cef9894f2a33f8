/** Waiting for traced threads: wait4(2), never blocking. */

import { errno } from "./errno.js";
import { allocateNative } from "./native-memory.js";
import { SystemCallError, trySystemCall } from "./system-call.js";
import { decodeWaitStatus, type WaitStatus } from "./wait-status.js";

const WNOHANG = 1;
const __WALL = 0x40000000; // include/uapi/linux/wait.h: threads and processes alike

const scratch = allocateNative(4096);

/** A thread and what it did. */
export interface ThreadEvent {
  readonly tid: number;
  readonly status: WaitStatus;
}

/** `nothing-yet`: traced, but no news. `none-left`: not (or no longer) traced by us. */
export type NoEvent = "nothing-yet" | "none-left";

function poll(tid: number): ThreadEvent | NoEvent {
  for (;;) {
    const result = trySystemCall("wait4", tid, scratch.address, WNOHANG | __WALL, 0);
    if (result.errno === errno.EINTR) continue;
    if (result.errno === errno.ECHILD) return "none-left";
    if (result.errno !== 0) throw new SystemCallError("wait4", result.errno);
    if (result.value === 0n) return "nothing-yet";
    return { tid: Number(result.value), status: decodeWaitStatus(scratch.bytes.readInt32LE(0)) };
  }
}

/** The next event of any traced thread. This process must have no children of its own: their end would be taken. @throws SystemCallError */
export function pollAnyThread(): ThreadEvent | NoEvent {
  return poll(-1);
}

/** The next event of one traced thread. @throws SystemCallError */
export function pollThread(tid: number): ThreadEvent | NoEvent {
  return poll(tid);
}

/** Lets other threads have the processor, should they want it: sched_yield(2). */
export function yieldProcessor(): void {
  trySystemCall("sched_yield");
}
