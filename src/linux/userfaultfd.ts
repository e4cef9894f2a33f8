/**
 * userfaultfd(2): the ioctls of include/uapi/linux/userfaultfd.h, on a descriptor of this process or one taken from a tracee
 * (addresses are always those of the process that created it).
 */

import { type Hva, hex } from "./address.js";
import { errno, errnoName } from "./errno.js";
import { ioctlRequest } from "./ioctl.js";
import { LinuxError } from "./linux-error.js";
import { allocateNative, wordsOf } from "./native-memory.js";
import { closeDescriptor } from "./pidfd.js";
import { trySystemCall } from "./system-call.js";

const TYPE = 0xaa;
/** Request numbers; asserted against the kernel's values in the unit test. */
export const userfaultfdRequest: Readonly<
  Record<"API" | "REGISTER" | "UNREGISTER" | "WAKE" | "COPY" | "POISON", number>
> = {
  API: ioctlRequest("read-write", TYPE, 0x3f, 24),
  REGISTER: ioctlRequest("read-write", TYPE, 0x00, 32),
  UNREGISTER: ioctlRequest("read", TYPE, 0x01, 16),
  WAKE: ioctlRequest("read", TYPE, 0x02, 16),
  COPY: ioctlRequest("read-write", TYPE, 0x03, 40),
  POISON: ioctlRequest("read-write", TYPE, 0x08, 32),
};
/** USERFAULTFD_IOC_NEW of /dev/userfaultfd: a userfaultfd for whoever calls it, whatever its privileges. */
export const USERFAULTFD_IOC_NEW: number = ioctlRequest("none", TYPE, 0x00, 0);

/** Flag of userfaultfd(2): handle only faults from user mode, which needs no privilege. */
export const UFFD_USER_MODE_ONLY = 1;
/** O_CLOEXEC, as userfaultfd(2) takes it. */
export const UFFD_CLOEXEC = 0o2000000;
/** O_NONBLOCK, as userfaultfd(2) takes it: poll(2) works only with it. */
export const UFFD_NONBLOCK = 0o4000;
const UFFD_API = 0xaan;
const FEATURE_EVENT_REMAP = 1n << 2n;
const FEATURE_POISON = 1n << 14n;
const MODE_MISSING = 1n;

const scratch = allocateNative(4096);
const argument = wordsOf(scratch);

/**
 * One request.
 *
 * @param words the argument, as 64-bit words
 * @returns the error number, 0 on success
 */
export function control(
  descriptor: number,
  name: keyof typeof userfaultfdRequest,
  words: readonly bigint[],
): number {
  argument.set(words);
  return trySystemCall("ioctl", descriptor, userfaultfdRequest[name], scratch.address).errno;
}

function mustControl(
  descriptor: number,
  name: keyof typeof userfaultfdRequest,
  words: readonly bigint[],
): void {
  const error = control(descriptor, name, words);
  if (error !== 0) throw failure(name, error, words);
}

/** @param index of a word of the last request's argument @returns what the kernel has written there, signed */
export function answer(index: number): bigint {
  return BigInt.asIntN(64, argument[index] ?? 0n);
}

function failure(name: keyof typeof userfaultfdRequest, error: number, words: readonly bigint[]): LinuxError {
  return new LinuxError("HM_USERFAULTFD", `UFFDIO_${name} failed`, {
    present: `${errnoName(error)} for ${words.map(hex).join(", ")}`,
    remedy:
      name === "API"
        ? "Poison markers need Linux 6.6 or later with CONFIG_USERFAULTFD"
        : "The mapping was left as it was",
  });
}

/** Negotiates the API with the POISON feature. @param descriptor a fresh userfaultfd @throws LinuxError HM_USERFAULTFD */
export function enablePoison(descriptor: number): void {
  mustControl(descriptor, "API", [UFFD_API, FEATURE_POISON, 0n]);
}

/**
 * Negotiates the API for a lazy replacement: POISON, and EVENT_REMAP, so that the registration moves along with mremap(2).
 *
 * @param descriptor a fresh userfaultfd
 * @throws LinuxError HM_USERFAULTFD
 */
export function enableLazyFill(descriptor: number): void {
  mustControl(descriptor, "API", [UFFD_API, FEATURE_POISON | FEATURE_EVENT_REMAP, 0n]);
}

/** Registers a range for missing faults. @param start address in the owning process @param size bytes @throws LinuxError HM_USERFAULTFD */
export function registerRange(descriptor: number, start: Hva, size: number): void {
  // SAFETY: the range is a private replacement nobody else touches yet; dying closes the descriptor, which unregisters it.
  mustControl(descriptor, "REGISTER", [start, BigInt(size), MODE_MISSING, 0n]);
}

/** Ends the registration; markers stay. @throws LinuxError HM_USERFAULTFD */
export function unregisterRange(descriptor: number, start: Hva, size: number): void {
  // SAFETY: poison markers live in the page tables and outlive the registration (mm/userfaultfd.c mfill_atomic_pte_poison).
  mustControl(descriptor, "UNREGISTER", [start, BigInt(size)]);
}

/**
 * Marks pages that are not populated as poisoned.
 *
 * @param size bytes, a multiple of the page size
 * @returns false if something is populated there already
 * @throws LinuxError HM_USERFAULTFD
 */
export function markPoisoned(descriptor: number, start: Hva, size: number): boolean {
  const words = [start, BigInt(size), 0n, 0n];
  // SAFETY: touching the range raises SIGBUS instead of reading zeros; it lies in a replacement that is not in place yet.
  const error = control(descriptor, "POISON", words);
  if (error !== 0 && error !== errno.EEXIST) throw failure("POISON", error, words);
  return error === 0;
}

/** What this kernel offers. */
export interface UserfaultfdSupport {
  readonly available: boolean;
  readonly poison: boolean;
  /** Why not, as an error name. */
  readonly reason: string | undefined;
}

/** Tries userfaultfd in this process; leaves nothing behind. */
export function probeUserfaultfd(): UserfaultfdSupport {
  const created = trySystemCall("userfaultfd", UFFD_USER_MODE_ONLY | UFFD_CLOEXEC);
  if (created.errno !== 0) return { available: false, poison: false, reason: errnoName(created.errno) };
  const descriptor = Number(created.value);
  const error = control(descriptor, "API", [UFFD_API, FEATURE_POISON, 0n]);
  closeDescriptor(descriptor);
  return { available: true, poison: error === 0, reason: error === 0 ? undefined : errnoName(error) };
}
