/** Waiting for descriptors, blocking: ppoll(2); and waking a thread that waits so: eventfd(2). On the main thread only for moments. */

import { errno } from "./errno.js";
import { allocateNative } from "./native-memory.js";
import { SystemCallError, systemCall, trySystemCall } from "./system-call.js";

const MOST = 64;
const POLLIN = 1;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;
const ENTRY = 8;

const table = allocateNative(4096);
const TIME_AT = MOST * ENTRY;

/**
 * @param descriptors at most 64
 * @param milliseconds how long, at most; Infinity without a limit
 * @returns those that can be read or have failed; none when time is up or a signal came
 * @throws SystemCallError
 */
export function waitReadable(descriptors: readonly number[], milliseconds: number): number[] {
  const some = descriptors.slice(0, MOST);
  some.forEach((descriptor, index) => {
    table.bytes.writeInt32LE(descriptor, index * ENTRY);
    table.bytes.writeInt32LE(POLLIN, index * ENTRY + 4);
  });
  const limited = Number.isFinite(milliseconds);
  if (limited) {
    table.bytes.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), TIME_AT);
    table.bytes.writeBigInt64LE(BigInt(Math.round((milliseconds % 1000) * 1e6)), TIME_AT + 8);
  }
  const time = limited ? table.address + BigInt(TIME_AT) : 0n;
  const result = trySystemCall("ppoll", table.address, some.length, time, 0, 8);
  if (result.errno === errno.EINTR) return [];
  if (result.errno !== 0) throw new SystemCallError("ppoll", result.errno);
  return some.filter((_, index) => table.bytes.readUInt16LE(index * ENTRY + 6) !== 0);
}

/** @returns a descriptor that becomes readable by {@link wakeUp} @throws SystemCallError */
export function createWakeUp(): number {
  return Number(systemCall("eventfd2", 0, EFD_CLOEXEC_NONBLOCK));
}

const one = allocateNative(4096);

/** @param descriptor from createWakeUp */
export function wakeUp(descriptor: number): void {
  one.bytes.writeBigUInt64LE(1n, 0);
  trySystemCall("write", descriptor, one.address, 8);
}

/** Makes it unreadable again. */
export function clearWakeUp(descriptor: number): void {
  trySystemCall("read", descriptor, one.address, 8);
}
