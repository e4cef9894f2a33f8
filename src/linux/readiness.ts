/** Waiting for descriptors, blocking: ppoll(2); and waking a thread that waits so: eventfd(2). On the main thread only for moments. */

import { errno } from "./errno.js";
import { allocateNative, type NativeMemory } from "./native-memory.js";
import { SystemCallError, systemCall, trySystemCall } from "./system-call.js";

const POLLIN = 1;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;
const ENTRY = 8;

/** Of a struct timespec, which stands in front of the struct pollfd. */
const TIME_SIZE = 16;
const PAGE = 4096;

let table: NativeMemory = allocateNative(PAGE);

/** @returns room for so many descriptors */
function roomFor(count: number): NativeMemory {
  const size = Math.ceil((TIME_SIZE + count * ENTRY) / PAGE) * PAGE;
  if (size <= table.bytes.length) return table;
  table.release();
  table = allocateNative(size);
  return table;
}

/**
 * @param descriptors whom to wait for
 * @param milliseconds how long, at most; Infinity without a limit
 * @returns those that can be read or have failed; none when time is up or a signal came
 * @throws SystemCallError
 */
export function waitReadable(descriptors: readonly number[], milliseconds: number): number[] {
  const { address, bytes } = roomFor(descriptors.length);
  const at = (index: number): number => TIME_SIZE + index * ENTRY;
  descriptors.forEach((descriptor, index) => {
    bytes.writeInt32LE(descriptor, at(index));
    bytes.writeInt32LE(POLLIN, at(index) + 4);
  });
  const limited = Number.isFinite(milliseconds);
  if (limited) {
    bytes.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0);
    bytes.writeBigInt64LE(BigInt(Math.round((milliseconds % 1000) * 1e6)), 8);
  }
  const entries = address + BigInt(TIME_SIZE);
  const result = trySystemCall("ppoll", entries, descriptors.length, limited ? address : 0n, 0, 8);
  if (result.errno === errno.EINTR) return [];
  if (result.errno !== 0) throw new SystemCallError("ppoll", result.errno);
  return descriptors.filter((_, index) => bytes.readUInt16LE(at(index) + 6) !== 0);
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
