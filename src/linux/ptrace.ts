/**
 * ptrace(2), typed. All calls must come from the one OS thread that attached: Node's main thread.
 *
 * Requests: include/uapi/linux/ptrace.h. Every thread is seized (PTRACE_SEIZE), never attached with PTRACE_ATTACH, so that
 * nothing is stopped by being watched; PTRACE_O_EXITKILL is never set, so that our death never kills anything.
 */

import type { Registers } from "./arch/architecture.js";
import { currentArchitecture } from "./arch/current.js";
import { allocateNative } from "./native-memory.js";
import { SIGNAL_INFO_SIZE } from "./signal-info.js";
import { SystemCallError, trySystemCall } from "./system-call.js";

const request = {
  CONT: 7,
  DETACH: 17,
  SYSCALL: 24,
  GETEVENTMSG: 0x4201,
  GETSIGINFO: 0x4202,
  GETREGSET: 0x4204,
  SETREGSET: 0x4205,
  SEIZE: 0x4206,
  INTERRUPT: 0x4207,
  LISTEN: 0x4208,
  GETSIGMASK: 0x420a,
  SETSIGMASK: 0x420b,
} as const;

const OPTION_TRACESYSGOOD = 1;
const OPTION_TRACECLONE = 1 << 3;
const OPTION_TRACEEXEC = 1 << 4;
const NT_PRSTATUS = 1;
const SIGNAL_SET_SIZE = 8;

// One scratch area is enough: calls are synchronous, on one thread, and results are copied out at once.
const VECTOR_OFFSET = 0;
const DATA_OFFSET = 64;
const scratch = allocateNative(DATA_OFFSET + 32768);

function call(
  name: keyof typeof request,
  tid: number,
  address: bigint | number,
  data: bigint | number,
): void {
  const result = trySystemCall("ptrace", request[name], tid, address, data);
  if (result.errno !== 0) throw new SystemCallError(`PTRACE_${name} of thread ${tid}`, result.errno);
}

function ioVector(size: number): bigint {
  scratch.bytes.writeBigUInt64LE(scratch.address + BigInt(DATA_OFFSET), VECTOR_OFFSET);
  scratch.bytes.writeBigUInt64LE(BigInt(size), VECTOR_OFFSET + 8);
  return scratch.address + BigInt(VECTOR_OFFSET);
}

function data(size: number): Buffer {
  return scratch.bytes.subarray(DATA_OFFSET, DATA_OFFSET + size);
}

const dataAddress = scratch.address + BigInt(DATA_OFFSET);

/** Starts tracing a thread without stopping it. New threads of it will be traced too. @throws SystemCallError */
export function seize(tid: number): void {
  // SAFETY: changes nothing in the thread; if we die the kernel detaches it (no PTRACE_O_EXITKILL).
  call("SEIZE", tid, 0, OPTION_TRACESYSGOOD | OPTION_TRACECLONE | OPTION_TRACEEXEC);
}

/** Asks a running thread to stop with PTRACE_EVENT_STOP. @throws SystemCallError */
export function interrupt(tid: number): void {
  // SAFETY: the thread is seized by us; if we die the kernel lets it run.
  call("INTERRUPT", tid, 0, 0);
}

/** Lets a stopped thread run. @param deliver the signal it shall get, 0 for none @throws SystemCallError */
export function resume(tid: number, deliver: number): void {
  // SAFETY: the thread is stopped by us with its own registers; `deliver` is the signal it stopped for, or 0.
  call("CONT", tid, 0, deliver);
}

/** Lets a stopped thread run up to the next entry to or exit from a system call. @param deliver as in {@link resume} @throws SystemCallError */
export function resumeToSystemCall(tid: number, deliver: number): void {
  // SAFETY: the thread is stopped by us; if we die the kernel clears the trace flag and lets it run (kernel/ptrace.c __ptrace_unlink).
  call("SYSCALL", tid, 0, deliver);
}

/** Leaves a thread in group-stop, but listens for what ends it. @throws SystemCallError */
export function listen(tid: number): void {
  // SAFETY: the thread is in group-stop, where it would be without us.
  call("LISTEN", tid, 0, 0);
}

/** Ends the tracing of a stopped thread and lets it run. @param deliver as in {@link resume} @throws SystemCallError */
export function detach(tid: number, deliver: number): void {
  // SAFETY: as in resume; afterwards the thread is as before we came.
  call("DETACH", tid, 0, deliver);
}

/** The siginfo of the signal a thread stopped for: 128 bytes. @throws SystemCallError EINVAL in group-stop */
export function signalInfo(tid: number): Buffer {
  call("GETSIGINFO", tid, 0, dataAddress);
  return Buffer.from(data(SIGNAL_INFO_SIZE));
}

/** General registers of a stopped thread. @throws SystemCallError */
export function readRegisters(tid: number): Registers {
  const size = currentArchitecture().registersSize;
  call("GETREGSET", tid, NT_PRSTATUS, ioVector(size));
  return Buffer.from(data(size));
}

/** Sets the general registers of a stopped thread. @throws SystemCallError */
export function writeRegisters(tid: number, registers: Registers): void {
  registers.copy(data(registers.length));
  // SAFETY: the registers are the thread's own, or lead back to its own through a signal frame on its stack.
  call("SETREGSET", tid, NT_PRSTATUS, ioVector(registers.length));
}

/** Floating point and vector state of a stopped thread, in the architecture's own format. @throws SystemCallError */
export function readVectorState(tid: number): Buffer {
  const architecture = currentArchitecture();
  call("GETREGSET", tid, architecture.vectorStateNote, ioVector(architecture.vectorStateLimit));
  const size = Number(scratch.bytes.readBigUInt64LE(VECTOR_OFFSET + 8));
  return Buffer.from(data(size));
}

/** Blocked signals of a stopped thread, bit 0 is signal 1. @throws SystemCallError */
export function readSignalMask(tid: number): bigint {
  call("GETSIGMASK", tid, SIGNAL_SET_SIZE, dataAddress);
  return data(SIGNAL_SET_SIZE).readBigUInt64LE(0);
}

/** Sets the blocked signals of a stopped thread. @throws SystemCallError */
export function writeSignalMask(tid: number, mask: bigint): void {
  data(SIGNAL_SET_SIZE).writeBigUInt64LE(mask, 0);
  // SAFETY: a mask other than the thread's own is only set while a signal frame with its own mask is the thread's way back.
  call("SETSIGMASK", tid, SIGNAL_SET_SIZE, dataAddress);
}
