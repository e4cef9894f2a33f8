/**
 * The door to the kernel: libc's `syscall(2)` and raw memory, through koffi. Nothing else in Hugemend imports koffi.
 *
 * koffi is careless with types (64-bit results come as number or bigint, overflow wraps silently), so every argument is
 * range-checked here, and every result is a bigint.
 */

import koffi from "koffi";
import { LinuxError } from "./linux-error.js";

/** An argument of a system call: an integer of at most 64 bits, signed or unsigned. */
export type Word = number | bigint;

/** What a system call gave back: `errno` is 0 exactly when it succeeded. */
export interface RawResult {
  /** The kernel's result as a signed 64-bit integer, -1 on failure. */
  readonly value: bigint;
  /** The error number, 0 on success. */
  readonly errno: number;
}

type SyscallFunction = (...words: (number | bigint)[]) => number | bigint;

// Six words a call need no megabytes of call stack; a guard runs beside every VM and stays small. Before the first load.
const SMALL = 64 * 1024;
koffi.config({
  sync_stack_size: SMALL,
  sync_heap_size: SMALL,
  async_stack_size: SMALL,
  async_heap_size: SMALL,
  resident_async_pools: 0,
});

const libc = koffi.load(null);
// SAFETY: the declared types are those of syscall(2): a long and six machine words, a long back. Both supported ABIs pass
// variadic integers like named ones.
const syscallFunction = libc.func("syscall", "int64", Array(7).fill("int64")) as SyscallFunction;

const SIGNED_MINIMUM = -(1n << 63n);
const UNSIGNED_LIMIT = 1n << 64n;

function word(value: Word): number | bigint {
  if (typeof value === "number") {
    if (Number.isSafeInteger(value)) return value;
    throw new LinuxError("HM_WORD_RANGE", "A system call argument is not an exact integer", {
      present: String(value),
    });
  }
  if (value < SIGNED_MINIMUM || value >= UNSIGNED_LIMIT) {
    throw new LinuxError("HM_WORD_RANGE", "A system call argument does not fit 64 bits", {
      present: value.toString(),
    });
  }
  return BigInt.asIntN(64, value);
}

/**
 * One system call in this process.
 *
 * @param number the call's number on this architecture
 * @param words up to six arguments; missing ones are 0
 * @throws LinuxError HM_WORD_RANGE if an argument is not an integer of at most 64 bits
 */
export function rawSystemCall(number: number, ...words: readonly Word[]): RawResult {
  if (words.length > 6) {
    throw new LinuxError("HM_WORD_RANGE", "A system call has too many arguments", {
      present: String(words.length),
      expected: "at most 6",
    });
  }
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = words;
  // SAFETY: what the call does is the caller's matter; the arguments are exact 64-bit words.
  const value = BigInt(syscallFunction(number, word(a), word(b), word(c), word(d), word(e), word(f)));
  return { value, errno: value === -1n ? koffi.errno() : 0 };
}

/**
 * A view of memory that is not owned by V8.
 *
 * @param address start in this process, from a successful mmap
 * @param size bytes
 */
export function viewNative(address: bigint, size: number): Buffer {
  return Buffer.from(koffi.view(address, size));
}

/** What koffi's poll hands back: call it to stop watching. */
export type StopWatching = () => void;

/**
 * Calls back whenever a descriptor is readable, from the event loop.
 *
 * @param fd any pollable descriptor
 * @param onReadable called on each readiness; must read until empty
 */
export function watchReadable(fd: number, onReadable: () => void): StopWatching {
  const handle = koffi.node.poll(fd, { readable: true }, onReadable);
  return () => handle.close();
}
