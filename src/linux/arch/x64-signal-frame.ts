/**
 * The x86-64 signal frame (struct rt_sigframe, arch/x86/include/asm/sigframe.h), built by hand.
 *
 * A remote system call borrows a thread's registers. If the tracer dies in the middle, nobody gives them back - unless the
 * thread does it itself: the call gadget is `syscall; ret`, the word that `ret` pops leads to `rt_sigreturn`, and this frame
 * holds all the thread had before: general registers, vector state, signal mask.
 *
 *     address +0    address of the restore gadget (popped by ret)
 *             +8    struct ucontext: flags, link, alternate stack, 256 bytes of sigcontext, signal mask
 *             +312  struct siginfo (not read by the kernel)
 *             +448  padding to 64 bytes, then the vector state in XSAVE format with its two magic words
 */

import type { Registers, SignalFrame } from "./architecture.js";
import { x64Register as register } from "./x64-registers.js";

const RED_ZONE = 128n; // below the stack pointer a leaf function keeps data (System V ABI)
const CONTEXT = 8;
const MACHINE_CONTEXT = CONTEXT + 40;
const SIGNAL_MASK = MACHINE_CONTEXT + 256;
const VECTOR_STATE = 512;

// arch/x86/include/uapi/asm/ucontext.h: XSAVE state present; SS is valid and must be restored exactly.
const CONTEXT_FLAGS = 0x1n | 0x2n | 0x4n;
// An invalid mode makes restore_altstack() leave the alternate signal stack alone (kernel/signal.c do_sigaltstack).
const ALTERNATE_STACK_UNCHANGED = 7;
// arch/x86/include/uapi/asm/sigcontext.h
const FP_XSTATE_MAGIC1 = 0x46505853;
const FP_XSTATE_MAGIC2 = 0x46505845;
const SOFTWARE_RESERVED = 464;
const XSAVE_HEADER = 512;
// Where tile state begins in the XSAVE area, and where the state before it ends (Intel SDM volume 1, 13.5).
const TILE_STATE_OFFSET = 2752;
const TILE_FEATURES = 0x60000n;
const STATE_BEFORE_TILES = 2696;

/** Order of the 17 registers in struct sigcontext_64. */
// biome-ignore format: a table
const contextOrder = [
  register.r8, register.r9, register.r10, register.r11, register.r12, register.r13, register.r14, register.r15,
  register.rdi, register.rsi, register.rbp, register.rbx, register.rdx, register.rax, register.rcx, register.rsp,
  register.rip,
] as const;

const RESTART_SYSCALL = 219n; // arch/x86/entry/syscalls/syscall_64.tbl
const RESTART_BLOCK = -516n;

/** Implements {@link RegisterCodec.signalFrame}. */
export function x64SignalFrame(
  saved: Registers,
  vectorState: Buffer,
  signalMask: bigint,
  restore: bigint,
): SignalFrame {
  const state = withMagic(vectorState);
  const size = VECTOR_STATE + state.length;
  const top = saved.readBigUInt64LE(register.rsp) - RED_ZONE;
  const address = ((top - BigInt(size)) / 64n) * 64n;
  const frame = Buffer.alloc(size);
  frame.writeBigUInt64LE(restore, 0);
  frame.writeBigUInt64LE(CONTEXT_FLAGS, CONTEXT);
  frame.writeUInt32LE(ALTERNATE_STACK_UNCHANGED, CONTEXT + 24);
  const resumed = afterRestart(saved);
  contextOrder.forEach((source, index) => {
    resumed.copy(frame, MACHINE_CONTEXT + index * 8, source, source + 8);
  });
  resumed.copy(frame, MACHINE_CONTEXT + 136, register.eflags, register.eflags + 8);
  frame.writeUInt16LE(resumed.readUInt16LE(register.cs), MACHINE_CONTEXT + 144);
  frame.writeUInt16LE(resumed.readUInt16LE(register.ss), MACHINE_CONTEXT + 150);
  frame.writeBigUInt64LE(address + BigInt(VECTOR_STATE), MACHINE_CONTEXT + 184);
  frame.writeBigUInt64LE(signalMask, SIGNAL_MASK);
  state.copy(frame, VECTOR_STATE);
  return { address, bytes: frame };
}

/**
 * The registers as the kernel would leave them after restarting an interrupted system call without a handler
 * (arch/x86/kernel/signal.c arch_do_signal_or_restart).
 */
function afterRestart(saved: Registers): Registers {
  const number = saved.readBigInt64LE(register.origRax);
  const result = saved.readBigInt64LE(register.rax);
  if (number < 0n || result > -512n || result < RESTART_BLOCK || result === -515n) return saved;
  const restarted = Buffer.from(saved);
  restarted.writeBigInt64LE(result === RESTART_BLOCK ? RESTART_SYSCALL : number, register.rax);
  restarted.writeBigUInt64LE(saved.readBigUInt64LE(register.rip) - 2n, register.rip);
  return restarted;
}

function withMagic(vectorState: Buffer): Buffer {
  const features = vectorState.readBigUInt64LE(XSAVE_HEADER);
  const hasTiles = vectorState.length > TILE_STATE_OFFSET;
  // The kernel ignores the whole extended state of a frame larger than what the thread may use, and tiles need a permission
  // of their own; state that is not in use need not be restored.
  const size = hasTiles && (features & TILE_FEATURES) === 0n ? STATE_BEFORE_TILES : vectorState.length;
  const state = Buffer.alloc(size + 4);
  vectorState.copy(state, 0, 0, size);
  state.fill(0, SOFTWARE_RESERVED, XSAVE_HEADER);
  state.writeUInt32LE(FP_XSTATE_MAGIC1, SOFTWARE_RESERVED);
  state.writeUInt32LE(size + 4, SOFTWARE_RESERVED + 4);
  state.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, SOFTWARE_RESERVED + 8); // every feature of the thread
  state.writeUInt32LE(size, SOFTWARE_RESERVED + 16);
  state.writeUInt32LE(FP_XSTATE_MAGIC2, size);
  return state;
}
