/**
 * Keeps a virtual CPU's thread out of the guest while it goes on to serve QEMU.
 *
 * QEMU enters the guest with ioctl KVM_RUN, and has itself a way to make that call come back at once: a byte of the memory it shares
 * with KVM (Documentation/virt/kvm/api.rst, struct kvm_run, immediate_exit), which it clears after each time (QEMU 7.2:
 * accel/kvm/kvm-all.c, kvm_eat_signals()). So the thread is stopped before each KVM_RUN and the byte set: it comes back with EINTR, as
 * after any signal, does what other threads of QEMU have asked of it, and tries again. If we die, that happens once more, and then it
 * enters.
 */

import { readlinkSync } from "node:fs";
import { type Hva, hva } from "../linux/address.js";
import type { CurrentCall } from "../linux/arch/architecture.js";
import { currentArchitecture } from "../linux/arch/current.js";
import { errno } from "../linux/errno.js";
import { tryReadProcess, writeProcess } from "../linux/process-memory.js";
import { readMaps } from "../linux/procfs/maps.js";
import * as ptrace from "../linux/ptrace.js";
import type { CallWatch } from "../tracee/call-watch.js";
import type { HeldThread } from "../tracee/held-thread.js";

/** _IO(KVMIO, 0x80) of include/uapi/linux/kvm.h. */
const KVM_RUN = 0xae80n;
/** Offset of immediate_exit in struct kvm_run (include/uapi/linux/kvm.h). */
const IMMEDIATE_EXIT = 1n;
/** How long the thread stands before it comes back, so that it does not spin. */
const STAND_MS = 2;

function isGuestEntry({ number, words }: CurrentCall): boolean {
  return number === currentArchitecture().systemCalls.ioctl && ((words[1] ?? 0n) & 0xffff_ffffn) === KVM_RUN;
}

/** The byte that keeps one virtual CPU out of the guest. */
export interface GuestEntry {
  readonly immediateExit: Hva;
}

/**
 * @param held a thread that stopped for a signal
 * @returns how it enters the guest, if it just came from there; undefined if the access was not the guest's
 */
export function findGuestEntry(held: HeldThread): GuestEntry | undefined {
  const { pid, tid } = held;
  const call = currentArchitecture().registers.currentCall(ptrace.readRegisters(tid));
  if (call === undefined || !isGuestEntry(call) || call.result !== -BigInt(errno.EINTR)) return undefined;
  const name = readlinkSync(`/proc/${pid}/fd/${BigInt.asIntN(32, call.words[0] ?? -1n)}`);
  // The first page of what QEMU maps of a virtual CPU is struct kvm_run.
  const shared = readMaps(pid).find(({ path, offset }) => path === name && offset === 0n);
  if (!name.startsWith("anon_inode:kvm-vcpu:") || shared === undefined) return undefined;
  const immediateExit = hva(shared.start + IMMEDIATE_EXIT);
  return tryReadProcess(pid, immediateExit, 1) === undefined ? undefined : { immediateExit };
}

/** See the head of the file. */
export class GuestGate {
  readonly #pid: number;
  readonly #entry: GuestEntry;
  readonly #watch: CallWatch;
  #timer: NodeJS.Timeout | undefined;
  /** Whether QEMU itself had set the flag, for an errand of its own. */
  #kicked = false;

  /** @param held goes on @param entry of the same thread, from findGuestEntry */
  constructor(held: HeldThread, entry: GuestEntry) {
    this.#pid = held.pid;
    this.#entry = entry;
    this.#watch = held.watchCalls((call) => this.#entered(call));
  }

  #entered(call: CurrentCall): boolean {
    if (!isGuestEntry(call)) return false;
    this.#kicked = tryReadProcess(this.#pid, this.#entry.immediateExit, 1)?.[0] === 1;
    if (!this.#set(1)) return false;
    this.#timer = setTimeout(() => this.#watch.goOn(), STAND_MS);
    return true;
  }

  /** Lets the thread enter the guest, from now on and for good. */
  open(): void {
    clearTimeout(this.#timer);
    if (this.#watch.standing && !this.#kicked) this.#set(0);
    this.#watch.end();
  }

  #set(value: number): boolean {
    try {
      // SAFETY: QEMU's own flag of this virtual CPU, whose thread stands before KVM_RUN; if we die, the call comes back once, and QEMU
      // clears the flag.
      writeProcess(this.#pid, this.#entry.immediateExit, Buffer.from([value]));
      return true;
    } catch {
      // The process is ending.
      return false;
    }
  }
}
