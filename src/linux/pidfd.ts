/** Process descriptors: pidfd_open(2), pidfd_getfd(2); copies of descriptors, and their end. */

import { systemCall, trySystemCall } from "./system-call.js";

/** @param pid a process @returns a descriptor of it, close-on-exec @throws SystemCallError */
export function openProcess(pid: number): number {
  return Number(systemCall("pidfd_open", pid, 0));
}

/** A copy of a descriptor of another process; needs the right to trace it. @throws SystemCallError */
export function takeDescriptor(processDescriptor: number, remoteDescriptor: number): number {
  return Number(systemCall("pidfd_getfd", processDescriptor, remoteDescriptor, 0));
}

/** fcntl(2), the same on x86-64 and arm64 (include/uapi/linux/fcntl.h). */
const F_DUPFD_CLOEXEC = 1030;

/** @param descriptor one of ours @returns another for the same, which stays open when that is closed @throws SystemCallError */
export function duplicateDescriptor(descriptor: number): number {
  return Number(systemCall("fcntl", descriptor, F_DUPFD_CLOEXEC, 0));
}

/** Closes a descriptor of ours; one that is gone already is none of our business. */
export function closeDescriptor(descriptor: number): void {
  trySystemCall("close", descriptor);
}
