/** What differs between processor architectures. One file per architecture stands beside this one. */

/** System calls that Hugemend makes itself or has a tracee make. */
export type SystemCallName =
  | "close"
  | "eventfd2"
  | "fallocate"
  | "fcntl"
  | "flock"
  | "ftruncate"
  | "getdents64"
  | "getpid"
  | "gettid"
  | "ioctl"
  | "lseek"
  | "madvise"
  | "mbind"
  | "memfd_create"
  | "mlock2"
  | "mmap"
  | "mremap"
  | "munlock"
  | "munmap"
  | "openat"
  | "pidfd_getfd"
  | "pidfd_open"
  | "ppoll"
  | "prctl"
  | "pread64"
  | "process_madvise"
  | "process_vm_readv"
  | "process_vm_writev"
  | "ptrace"
  | "pwrite64"
  | "read"
  | "readlinkat"
  | "recvmsg"
  | "rt_sigaction"
  | "rt_tgsigqueueinfo"
  | "sched_yield"
  | "sendmsg"
  | "socketpair"
  | "statfs"
  | "tgkill"
  | "userfaultfd"
  | "wait4"
  | "write";

/** The general registers of a stopped thread, as PTRACE_GETREGSET with NT_PRSTATUS gives them. */
export type Registers = Buffer;

/** How one architecture calls its kernel. */
export interface Architecture {
  readonly name: "x64" | "arm64";
  readonly systemCalls: Readonly<Record<SystemCallName, number>>;
  /** Bytes of the NT_PRSTATUS register set. */
  readonly registersSize: number;
  /** The most bytes the floating point and vector state may take. */
  readonly vectorStateLimit: number;
  /** The NT_… number of that state's register set. */
  readonly vectorStateNote: number;
  /** Machine code of a system call followed by a return. */
  readonly callGadget: Buffer;
  /** Bytes of the gadget up to where the thread stands after the system call. */
  readonly callGadgetReturn: number;
  /** Machine code that makes the kernel restore a thread from a signal frame. */
  readonly restoreGadget: Buffer;
  readonly registers: RegisterCodec;
}

/** A system call in a stopped thread's registers. */
export interface CurrentCall {
  readonly number: number;
  /** Its six arguments. */
  readonly words: readonly bigint[];
  /** Signed; -4095 … -1 is an error. Says nothing while the call is yet to be entered. */
  readonly result: bigint;
  /** Whether it is yet to be entered. */
  readonly ahead: boolean;
}

/** Reads and writes single values in a register set. */
export interface RegisterCodec {
  instructionPointer(registers: Registers): bigint;
  stackPointer(registers: Registers): bigint;
  /** The result of the system call that just returned, signed: -4095 … -1 is an error. */
  callResult(registers: Registers): bigint;
  /** The system call a thread is about to enter, or comes back from; undefined when its stop has nothing to do with one. */
  currentCall(registers: Registers): CurrentCall | undefined;
  /** Whether the thread was interrupted in a system call that the kernel is about to restart. */
  restartPending(registers: Registers): boolean;
  /**
   * Registers for a remote system call.
   *
   * @param saved the thread's own registers
   * @param call number and up to six arguments
   * @param gadget address of the call gadget
   * @param stack stack pointer: the word there is popped by the gadget's return
   */
  forCall(
    saved: Registers,
    call: { number: number; words: readonly bigint[] },
    gadget: bigint,
    stack: bigint,
  ): Registers;
  /**
   * The signal frame from which the kernel restores the thread if nobody else does.
   *
   * @param saved registers to come back to
   * @param vectorState as PTRACE_GETREGSET gave it
   * @param signalMask the thread's own blocked signals, bit 0 is signal 1
   * @param restore address of the restore gadget
   * @returns the frame and where it must be written
   */
  signalFrame(saved: Registers, vectorState: Buffer, signalMask: bigint, restore: bigint): SignalFrame;
}

/** A signal frame ready to be written to a thread's stack. */
export interface SignalFrame {
  /** Where it goes, which is also the stack pointer for remote calls. */
  readonly address: bigint;
  readonly bytes: Buffer;
}
