/**
 * Filling a registered range while its process runs: what faults wait for, and giving it to them
 * (include/uapi/linux/userfaultfd.h; Documentation/admin-guide/mm/userfaultfd.rst).
 */

import { type Hva, hva } from "./address.js";
import { allocateNative, wordsOf } from "./native-memory.js";
import { eventsNow, POLLIN } from "./readiness.js";
import { trySystemCall } from "./system-call.js";
import { answer, control } from "./userfaultfd.js";

/** Bytes of struct uffd_msg. */
export const MESSAGE_SIZE = 32;
const MOST_MESSAGES = 64;
const F_SETFL = 4;
/** The same on x86-64 and arm64. */
const O_NONBLOCK = 0o4000;
const EVENT_PAGEFAULT = 0x12;
const EVENT_REMAP = 0x14;

const WORDS = MESSAGE_SIZE / 8;

const inbox = allocateNative(MESSAGE_SIZE * MOST_MESSAGES);
const received = wordsOf(inbox);

/** What a userfaultfd tells. */
export type UserfaultMessage =
  | { readonly kind: "fault"; readonly address: Hva }
  | { readonly kind: "remap"; readonly from: Hva; readonly to: Hva; readonly size: bigint }
  | { readonly kind: "other"; readonly event: number };

/**
 * Takes what there is, without waiting. A fault that was read waits until its page is there, whoever else reads.
 *
 * @param descriptor opened with O_NONBLOCK
 * @returns nothing as well when the process has ended
 */
export function readMessages(descriptor: number): UserfaultMessage[] {
  const events = eventsNow(descriptor);
  if (events === 0) return [];
  if ((events & POLLIN) === 0) {
    // The description is shared with the VM, which has made reads wait; then nothing is told any more (fs/userfaultfd.c userfaultfd_poll).
    // SAFETY: a flag of a description that is ours.
    trySystemCall("fcntl", descriptor, F_SETFL, O_NONBLOCK);
    return [];
  }
  const { value, errno: error } = trySystemCall("read", descriptor, inbox.address, inbox.bytes.length);
  if (error !== 0) return [];
  const found: UserfaultMessage[] = [];
  for (let at = 0; at < Number(value) / 8; at += WORDS) found.push(decodeMessage(at));
  return found;
}

/** @param at index of its first word in what was received */
function decodeMessage(at: number): UserfaultMessage {
  const event = Number((received[at] ?? 0n) & 0xffn);
  const word = (index: number): bigint => received[at + 1 + index] ?? 0n;
  if (event === EVENT_PAGEFAULT) return { kind: "fault", address: hva(word(1)) };
  if (event === EVENT_REMAP) return { kind: "remap", from: hva(word(0)), to: hva(word(1)), size: word(2) };
  return { kind: "other", event };
}

/** How a copy went: `errno` says why it stopped before its end; 0 if it did not. */
export interface CopyResult {
  readonly copied: number;
  readonly errno: number;
}

/**
 * Copies data to where nothing is yet, and lets whoever waits for it go on. Each page appears whole or not at all.
 *
 * @param to address in the process of the userfaultfd, a multiple of 4096
 * @param from address in this process
 * @param size bytes, a multiple of 4096
 * @returns EEXIST: the next page is there already; EAGAIN: the process changes its mappings right now; ENOENT: nothing is
 *   registered there; ENOMEM; ESRCH: the process has ended
 */
export function copyPages(descriptor: number, to: Hva, from: bigint, size: number): CopyResult {
  // SAFETY: fills only what is missing in a range of ours; if we die right here, pages are there or they are not.
  const error = control(descriptor, "COPY", [to, from, BigInt(size), 0n, 0n]);
  if (error === 0) return { copied: size, errno: 0 };
  const copied = Number(answer(4));
  // A copy that stopped in the middle says EAGAIN; the next try tells why (fs/userfaultfd.c userfaultfd_copy).
  return copied > 0 ? { copied, errno: 0 } : { copied: 0, errno: error };
}

/**
 * Marks one missing page as poisoned, and lets whoever waits for it go on, into SIGBUS.
 *
 * @returns the error number, 0 on success; EEXIST: it is there or marked already, and nobody was let go; others as of copyPages
 */
export function poisonPage(descriptor: number, page: Hva, size: number): number {
  // SAFETY: the page's data is lost: whoever touches it must get an error, and never zeros.
  return control(descriptor, "POISON", [page, BigInt(size), 0n, 0n]);
}

/** Makes all that wait in a range try again: those whose message was read by somebody who is dead. */
export function wakeAll(descriptor: number, start: Hva, size: number): void {
  // SAFETY: threads that wake find their page or wait again.
  control(descriptor, "WAKE", [start, BigInt(size)]);
}
