/** Byte offsets in struct user_regs_struct (arch/x86/include/asm/user_64.h), the NT_PRSTATUS register set of x86-64. */

// biome-ignore format: a table
export const x64Register = {
  r15: 0, r14: 8, r13: 16, r12: 24, rbp: 32, rbx: 40, r11: 48, r10: 56, r9: 64, r8: 72, rax: 80, rcx: 88, rdx: 96,
  rsi: 104, rdi: 112, origRax: 120, rip: 128, cs: 136, eflags: 144, rsp: 152, ss: 160, fsBase: 168, gsBase: 176,
  ds: 184, es: 192, fs: 200, gs: 208,
} as const;
