/** Process descriptors: pidfd_open(2), pidfd_getfd(2). */

import { systemCall, trySystemCall } from "./system-call.js";

/** @param pid a process @returns a descriptor of it, close-on-exec @throws SystemCallError */
export function openProcess(pid: number): number {
  return Number(systemCall("pidfd_open", pid, 0));
}

/** A copy of a descriptor of another process; needs the right to trace it. @throws SystemCallError */
export function takeDescriptor(processDescriptor: number, remoteDescriptor: number): number {
  return Number(systemCall("pidfd_getfd", processDescriptor, remoteDescriptor, 0));
}

/** Closes a descriptor of ours; one that is gone already is none of our business. */
export function closeDescriptor(descriptor: number): void {
  trySystemCall("close", descriptor);
}
