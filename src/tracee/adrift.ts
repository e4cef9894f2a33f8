/**
 * Threads that have not come back from a remote call in time: frozen, or starved. Such a thread makes its call whenever it runs again, whoever
 * guards the process by then. Until it is home nothing may be changed in the process: the call may name an address or a descriptor
 * that has become something else.
 */

import { type Hva, hva } from "../linux/address.js";
import { currentArchitecture } from "../linux/arch/current.js";
import { tryReadProcess } from "../linux/process-memory.js";
import * as ptrace from "../linux/ptrace.js";
import type { Gadgets } from "./gadgets.js";
import { TraceeError } from "./tracee-error.js";

const known = new Set<number>();

/** @param pid a process in which a thread of ours is known to be on its way */
export function noteAdrift(pid: number): void {
  known.add(pid);
}

/** All threads of a process have been seen at home. */
export function forgetAdrift(pid: number): void {
  known.delete(pid);
}

/** Whether a thread of a process may still make a call of ours. */
export function hasThreadAdrift(pid: number): boolean {
  return known.has(pid);
}

/** @throws TraceeError HM_TRACEE_STUCK if a thread of the process may still make a call of ours */
export function refuseAdrift(pid: number): void {
  if (known.has(pid)) throw adriftError(pid);
}

/** @param pid the process */
export function adriftError(pid: number): TraceeError {
  return new TraceeError(
    "HM_TRACEE_STUCK",
    `A thread of process ${pid} has not come back from an earlier call`,
    {
      expected: "every thread in QEMU's own code",
      remedy: "Let the process run (is its control group frozen?); it is tried again at the next error",
    },
  );
}

/** Bytes around a gadget in which a thread is on its way. */
const AROUND = 16n;

/**
 * Whether a stopped thread is between a remote call and its own code (remote-calls.ts): it is about to make the call, or returns from it
 * into the signal return.
 *
 * @param tid in a ptrace stop
 * @throws LinuxError, SystemCallError
 */
export function isOnItsWay(pid: number, tid: number, { call, restore }: Gadgets): boolean {
  const codec = currentArchitecture().registers;
  const registers = ptrace.readRegisters(tid);
  const at = codec.instructionPointer(registers);
  if (isAround(at, restore)) return true;
  if (!isAround(at, call)) return false;
  // QEMU itself runs that code too; only we return from it into the signal return.
  const top = tryReadProcess(pid, hva(codec.stackPointer(registers)), 8);
  return top === undefined || top.readBigUInt64LE() === restore;
}

function isAround(address: bigint, gadget: Hva): boolean {
  return address >= gadget && address < gadget + AROUND;
}
