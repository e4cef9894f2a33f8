/** Waiting for traced threads: wait4(2). */

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

function wait(tid: number, options: number): ThreadEvent | undefined {
  for (;;) {
    const result = trySystemCall("wait4", tid, scratch.address, options | __WALL, 0);
    if (result.errno === errno.EINTR) continue;
    if (result.errno === errno.ECHILD) return undefined;
    if (result.errno !== 0) throw new SystemCallError("wait4", result.errno);
    if (result.value === 0n) return undefined;
    return { tid: Number(result.value), status: decodeWaitStatus(scratch.bytes.readInt32LE(0)) };
  }
}

/** The next event of any traced thread, if there is one now. Never blocks. @throws SystemCallError */
export function pollAnyThread(): ThreadEvent | undefined {
  return wait(-1, WNOHANG);
}

/** The next event of one traced thread, if there is one now. Never blocks. @throws SystemCallError */
export function pollThread(tid: number): ThreadEvent | undefined {
  return wait(tid, WNOHANG);
}

/** Blocks until a traced thread does something; undefined if it is no longer ours. @throws SystemCallError */
export function waitForThread(tid: number): ThreadEvent | undefined {
  return wait(tid, 0);
}
