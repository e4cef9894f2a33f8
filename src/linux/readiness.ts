/** Waiting for descriptors, blocking: ppoll(2); and waking a thread that waits so: eventfd(2). On the main thread only for moments. */

import { errno } from "./errno.js";
import { allocateNative, type NativeMemory, wordsOf } from "./native-memory.js";
import { SystemCallError, systemCall, trySystemCall } from "./system-call.js";

/** Bits of revents, see poll(2). */
export const POLLIN = 1;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;
/** Words of a struct timespec, which stands in front of the struct pollfd of one word each. */
const TIME_WORDS = 2;
const PAGE = 4096;

let table: NativeMemory = allocateNative(PAGE);
let words = wordsOf(table);

/** Makes room for so many descriptors. */
function makeRoom(count: number): void {
  if (TIME_WORDS + count <= words.length) return;
  const size = Math.ceil(((TIME_WORDS + count) * 8) / PAGE) * PAGE;
  table.release();
  table = allocateNative(size);
  words = wordsOf(table);
}

/**
 * @param descriptors whom to wait for
 * @param milliseconds how long, at most; Infinity without a limit
 * @returns those that can be read or have failed; none when time is up or a signal came
 * @throws SystemCallError
 */
export function waitReadable(descriptors: readonly number[], milliseconds: number): number[] {
  makeRoom(descriptors.length);
  for (const [index, descriptor] of descriptors.entries())
    words[TIME_WORDS + index] = BigInt.asUintN(32, BigInt(descriptor)) | (BigInt(POLLIN) << 32n);
  const limited = Number.isFinite(milliseconds);
  if (limited) {
    words[0] = BigInt(Math.floor(milliseconds / 1000));
    words[1] = BigInt(Math.floor((milliseconds % 1000) * 1e6));
  }
  const entries = table.address + BigInt(TIME_WORDS * 8);
  const result = trySystemCall("ppoll", entries, descriptors.length, limited ? table.address : 0n, 0, 8);
  if (result.errno === errno.EINTR || result.value === 0n) return [];
  if (result.errno !== 0) throw new SystemCallError("ppoll", result.errno);
  return descriptors.filter((_, index) => (words[TIME_WORDS + index] ?? 0n) >> 48n !== 0n);
}

/** @returns what poll(2) says of one descriptor now, as bits of revents; 0: nothing @throws SystemCallError */
export function eventsNow(descriptor: number): number {
  waitReadable([descriptor], 0);
  return Number((words[TIME_WORDS] ?? 0n) >> 48n);
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
