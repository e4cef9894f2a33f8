/** Reading and writing another process's memory: process_vm_readv(2), process_vm_writev(2). */

import { type Hva, hex } from "./address.js";
import { errnoName } from "./errno.js";
import { LinuxError } from "./linux-error.js";
import { allocateNative } from "./native-memory.js";
import { trySystemCall } from "./system-call.js";

const DATA = 64;
const LIMIT = 65536;
const scratch = allocateNative(DATA + LIMIT);

const here = scratch.address + BigInt(DATA);

function vectors(address: Hva, size: number, target = here): { local: bigint; remote: bigint } {
  if (size < 1 || (target === here && size > LIMIT)) {
    throw wrongSize(size);
  }
  const bytes = scratch.bytes;
  bytes.writeBigUInt64LE(target, 0);
  bytes.writeBigUInt64LE(BigInt(size), 8);
  bytes.writeBigUInt64LE(address, 16);
  bytes.writeBigUInt64LE(BigInt(size), 24);
  return { local: scratch.address, remote: scratch.address + 16n };
}

function wrongSize(size: number): LinuxError {
  return new LinuxError("HM_PROCESS_MEMORY", "A transfer of process memory has the wrong size", {
    present: `${size} bytes`,
    expected: `1 to ${LIMIT} bytes`,
  });
}

/**
 * Reads another process's memory. A poisoned or unmapped page is never touched by us: the call fails instead.
 *
 * @param pid process
 * @param address where
 * @param size 1 to 65536 bytes
 * @returns the bytes, or undefined if not all could be read
 */
export function tryReadProcess(pid: number, address: Hva, size: number): Buffer | undefined {
  if (!readProcessInto(pid, address, size, here)) return undefined;
  return Buffer.from(scratch.bytes.subarray(DATA, DATA + size));
}

/** The same when only the answer counts: whether all of it could be read. */
export function canReadProcess(pid: number, address: Hva, size: number): boolean {
  return readProcessInto(pid, address, size, here);
}

/**
 * Reads another process's memory straight into a mapping of ours. The kernel does the copying: poison on either side makes it fail,
 * and never is a signal for us.
 *
 * @param size bytes
 * @param target address of as many writable bytes in this process
 * @returns whether all could be read; if not, the target may hold a part
 */
export function readProcessInto(pid: number, address: Hva, size: number, target: bigint): boolean {
  const { local, remote } = vectors(address, size, target);
  // SAFETY: only reads the other process; the target is our own scratch memory, or a mapping that the caller owns.
  const result = trySystemCall("process_vm_readv", pid, local, 1, remote, 1, 0);
  return result.errno === 0 && result.value === BigInt(size);
}

/**
 * Writes another process's memory, all or an error.
 *
 * @param data 1 to 65536 bytes
 * @throws LinuxError HM_PROCESS_MEMORY
 */
export function writeProcess(pid: number, address: Hva, data: Buffer): void {
  if (data.length > LIMIT) throw wrongSize(data.length);
  data.copy(scratch.bytes, DATA);
  writeProcessFrom(pid, address, here, data.length);
}

/**
 * The same straight out of native memory, whatever its size.
 *
 * @param from address in this process
 * @param size bytes
 * @throws LinuxError HM_PROCESS_MEMORY: a part may have been written
 */
export function writeProcessFrom(pid: number, address: Hva, from: bigint, size: number): void {
  const { local, remote } = vectors(address, size, from);
  // SAFETY: the caller owns the target range: unused stack below a stopped thread's red zone, or a mapping of ours.
  const result = trySystemCall("process_vm_writev", pid, local, 1, remote, 1, 0);
  if (result.errno === 0 && result.value === BigInt(size)) return;
  throw new LinuxError("HM_PROCESS_MEMORY", `Process ${pid} cannot be written at ${hex(address)}`, {
    present: result.errno === 0 ? `${result.value} of ${size} bytes` : errnoName(result.errno),
  });
}
