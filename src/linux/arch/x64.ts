/** x86-64: system call numbers (arch/x86/entry/syscalls/syscall_64.tbl). */

import type { Architecture, RegisterCodec, Registers } from "./architecture.js";
import { x64Register } from "./x64-registers.js";
import { x64SignalFrame } from "./x64-signal-frame.js";

// biome-ignore format: a table
const argumentOffsets = [
  x64Register.rdi, x64Register.rsi, x64Register.rdx, x64Register.r10, x64Register.r8, x64Register.r9,
] as const;

/** What stands in rax before a system call is entered: ENOSYS (arch/x86/entry/entry_64.S, PUSH_AND_CLEAR_REGS rax=$-ENOSYS). */
const NOT_ENTERED = -38n;

// include/linux/errno.h: results that a tracer sees only while the kernel is about to restart the call.
const restartResults = new Set([-512n, -513n, -514n, -516n]);

const codec: RegisterCodec = {
  instructionPointer: (registers) => registers.readBigUInt64LE(x64Register.rip),
  stackPointer: (registers) => registers.readBigUInt64LE(x64Register.rsp),
  callResult: (registers) => registers.readBigInt64LE(x64Register.rax),
  currentCall(registers) {
    const number = Number(registers.readBigInt64LE(x64Register.origRax));
    if (number < 0) return undefined;
    const result = registers.readBigInt64LE(x64Register.rax);
    const words = argumentOffsets.map((offset) => registers.readBigUInt64LE(offset));
    return { number, words, result, ahead: result === NOT_ENTERED };
  },
  restartPending: (registers) =>
    registers.readBigInt64LE(x64Register.origRax) >= 0n &&
    restartResults.has(registers.readBigInt64LE(x64Register.rax)),
  forCall(saved, call, gadget, stack): Registers {
    const registers = Buffer.from(saved);
    registers.writeBigInt64LE(BigInt(call.number), x64Register.rax);
    argumentOffsets.forEach((offset, index) => {
      registers.writeBigUInt64LE(BigInt.asUintN(64, call.words[index] ?? 0n), offset);
    });
    registers.writeBigUInt64LE(gadget, x64Register.rip);
    registers.writeBigUInt64LE(stack, x64Register.rsp);
    // Not in a system call: otherwise the kernel would restart the interrupted one on top of ours.
    registers.writeBigInt64LE(-1n, x64Register.origRax);
    return registers;
  },
  signalFrame: x64SignalFrame,
};

/** The x86-64 architecture. */
export const x64: Architecture = {
  name: "x64",
  // biome-ignore format: a table
  systemCalls: {
    close: 3, eventfd2: 290, fallocate: 285, fcntl: 72, flock: 73, ftruncate: 77, getdents64: 217, getpid: 39, gettid: 186, ioctl: 16, lseek: 8, madvise: 28,
    mbind: 237, memfd_create: 319, mlock2: 325, mmap: 9, mremap: 25, munlock: 150, munmap: 11, openat: 257, pidfd_getfd: 438, pidfd_open: 434,
    ppoll: 271, prctl: 157, pread64: 17, process_madvise: 440, process_vm_readv: 310, process_vm_writev: 311, ptrace: 101, pwrite64: 18, read: 0,
    readlinkat: 267, recvmsg: 47, rt_sigaction: 13, rt_tgsigqueueinfo: 297, sched_yield: 24, sendmsg: 46, socketpair: 53, statfs: 137, tgkill: 234,
    userfaultfd: 323, wait4: 61, write: 1,
  },
  registersSize: 216,
  vectorStateLimit: 16384,
  vectorStateNote: 0x202, // NT_X86_XSTATE
  callGadget: Buffer.from([0x0f, 0x05, 0xc3]), // syscall; ret
  callGadgetReturn: 2,
  restoreGadget: Buffer.from([0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]), // mov $15,%rax; syscall: rt_sigreturn
  registers: codec,
};
