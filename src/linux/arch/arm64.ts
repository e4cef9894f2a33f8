/**
 * arm64: the generic system call numbers (include/uapi/asm-generic/unistd.h). Remote system calls are not written yet, so the
 * guard refuses to attach on this architecture; what this process calls for itself works.
 */

import { LinuxError } from "../linux-error.js";
import type { Architecture } from "./architecture.js";

function unsupported(): never {
  throw new LinuxError(
    "HM_ARCHITECTURE",
    "Guarding a process is not supported on this processor architecture",
    {
      present: "arm64",
      expected: "x64",
    },
  );
}

/** The arm64 architecture. */
export const arm64: Architecture = {
  name: "arm64",
  // biome-ignore format: a table
  systemCalls: {
    close: 57, eventfd2: 19, fallocate: 47, fcntl: 25, flock: 32, ftruncate: 46, getdents64: 61, getpid: 172, gettid: 178, ioctl: 29, lseek: 62, madvise: 233,
    mbind: 235, memfd_create: 279, mlock2: 284, mmap: 222, mremap: 216, munlock: 229, munmap: 215, openat: 56, pidfd_getfd: 438, pidfd_open: 434,
    ppoll: 73, prctl: 167, pread64: 67, process_madvise: 440, process_vm_readv: 270, process_vm_writev: 271, ptrace: 117, pwrite64: 68, read: 63,
    readlinkat: 78, recvmsg: 212, rt_sigaction: 134, rt_tgsigqueueinfo: 240, sched_yield: 124, sendmsg: 211, socketpair: 199, statfs: 43, tgkill: 131,
    userfaultfd: 282, wait4: 260, write: 64,
  },
  registersSize: 272, // struct user_pt_regs, arch/arm64/include/uapi/asm/ptrace.h
  vectorStateLimit: 16384,
  vectorStateNote: 0x2, // NT_PRFPREG
  callGadget: Buffer.from([0x01, 0x00, 0x00, 0xd4, 0xc0, 0x03, 0x5f, 0xd6]), // svc #0; ret
  callGadgetReturn: 4,
  restoreGadget: Buffer.from([0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]), // mov x8, #139; svc #0: rt_sigreturn
  registers: {
    instructionPointer: (registers) => registers.readBigUInt64LE(256),
    stackPointer: (registers) => registers.readBigUInt64LE(248),
    callResult: (registers) => registers.readBigInt64LE(0),
    currentCall: unsupported,
    restartPending: unsupported,
    forCall: unsupported,
    signalFrame: unsupported,
  },
};
