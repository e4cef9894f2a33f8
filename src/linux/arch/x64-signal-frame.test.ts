import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { x64 } from "./x64.js";
import { x64Register as register } from "./x64-registers.js";
import { x64SignalFrame } from "./x64-signal-frame.js";

const RESTORE = 0x7f0000001000n;
const RED_ZONE = 128n;

/** Registers in which each 64-bit slot holds its own offset, so that a mix-up shows. */
function registers(values: Partial<Record<keyof typeof register, bigint>> = {}): Buffer {
  const buffer = Buffer.alloc(x64.registersSize);
  for (const offset of Object.values(register)) buffer.writeBigInt64LE(BigInt(0x1000 + offset), offset);
  buffer.writeBigInt64LE(-1n, register.origRax);
  buffer.writeBigInt64LE(0x7ffc00001234n, register.rsp);
  for (const [name, value] of Object.entries(values)) {
    // SAFETY: the keys of `values` are names of registers by its type.
    buffer.writeBigInt64LE(value, register[name as keyof typeof register]);
  }
  return buffer;
}

/** XSAVE state of a processor with AVX: 512 bytes, the header, 256 bytes of upper halves. */
function vectors(size = 832, features = 7n): Buffer {
  const state = Buffer.alloc(size, 0xab);
  state.writeBigUInt64LE(features, 512);
  return state;
}

describe("x64SignalFrame", () => {
  it("puts every register where struct sigcontext_64 has it", () => {
    // arch/x86/include/uapi/asm/sigcontext.h, from the start of uc_mcontext
    const order = [
      "r8",
      "r9",
      "r10",
      "r11",
      "r12",
      "r13",
      "r14",
      "r15",
      "rdi",
      "rsi",
      "rbp",
      "rbx",
      "rdx",
      "rax",
      "rcx",
      "rsp",
      "rip",
      "eflags",
    ] as const;
    const saved = registers();
    const { bytes } = x64SignalFrame(saved, vectors(), 0n, RESTORE);
    order.forEach((name, index) => {
      assert.equal(bytes.readBigUInt64LE(48 + index * 8), saved.readBigUInt64LE(register[name]), name);
    });
    assert.equal(bytes.readUInt16LE(48 + 144), saved.readUInt16LE(register.cs));
    assert.equal(bytes.readUInt16LE(48 + 150), saved.readUInt16LE(register.ss));
  });

  it("leads back: return address, flags, mask, pointer to the vector state with its two magic words", () => {
    const state = vectors();
    const { address, bytes } = x64SignalFrame(registers(), state, 0x8000_0000_0000_0041n, RESTORE);
    assert.equal(bytes.readBigUInt64LE(0), RESTORE);
    assert.equal(bytes.readBigUInt64LE(8), 7n);
    assert.equal(bytes.readBigUInt64LE(304), 0x8000_0000_0000_0041n);
    assert.equal(bytes.readBigUInt64LE(48 + 184), address + 512n);
    const copy = bytes.subarray(512);
    assert.equal(copy.length, state.length + 4);
    assert.equal(copy.readUInt32LE(464), 0x46505853);
    assert.equal(copy.readUInt32LE(468), state.length + 4);
    assert.equal(copy.readUInt32LE(480), state.length);
    assert.equal(copy.readUInt32LE(state.length), 0x46505845);
    assert.deepEqual(copy.subarray(0, 464), state.subarray(0, 464));
    assert.deepEqual(copy.subarray(512, state.length), state.subarray(512));
  });

  it("lies below the red zone, aligned as XRSTOR needs it", () => {
    const stacks = fc.bigInt({ min: 0x10000n, max: 0x7fff_ffff_f000n });
    fc.assert(
      fc.property(stacks, fc.integer({ min: 576, max: 11000 }), (rsp, size) => {
        const { address, bytes } = x64SignalFrame(registers({ rsp }), vectors(size), 0n, RESTORE);
        assert.ok(address + BigInt(bytes.length) <= rsp - RED_ZONE);
        assert.equal((address + 512n) % 64n, 0n);
      }),
    );
  });

  it("leaves out tile state that is not in use, and keeps it when it is", () => {
    const unused = x64SignalFrame(registers(), vectors(11008, 0x2e7n), 0n, RESTORE);
    assert.equal(unused.bytes.length, 512 + 2696 + 4);
    const used = x64SignalFrame(registers(), vectors(11008, 0x602e7n), 0n, RESTORE);
    assert.equal(used.bytes.length, 512 + 11008 + 4);
  });

  const rip = 0x7f0000002002n;
  const restarts: readonly (readonly [
    what: string,
    origRax: bigint,
    rax: bigint,
    restarted: bigint | undefined,
  ])[] = [
    ["ERESTARTSYS", 0n, -512n, 0n],
    ["ERESTARTNOINTR", 202n, -513n, 202n],
    ["ERESTARTNOHAND", 271n, -514n, 271n],
    ["ERESTART_RESTARTBLOCK", 35n, -516n, 219n],
    ["ENOIOCTLCMD, which is no restart", 16n, -515n, undefined],
    ["EINTR", 232n, -4n, undefined],
    ["a result", 0n, 17n, undefined],
    ["no system call", -1n, -512n, undefined],
  ];
  for (const [what, origRax, rax, restarted] of restarts) {
    it(`resumes as the kernel would after ${what}`, () => {
      const saved = registers({ rip, rax, origRax });
      const { bytes } = x64SignalFrame(saved, vectors(), 0n, RESTORE);
      assert.equal(bytes.readBigInt64LE(48 + 13 * 8), restarted ?? rax);
      assert.equal(bytes.readBigUInt64LE(48 + 16 * 8), restarted === undefined ? rip : rip - 2n);
      assert.equal(x64.registers.restartPending(saved), restarted !== undefined);
    });
  }
});

describe("registers for a remote call", () => {
  it("hold number, arguments, gadget and stack, and are in no system call", () => {
    const words = [1n, 2n, 3n, 4n, 5n, -6n];
    const saved = registers({ origRax: 202n });
    const made = x64.registers.forCall(saved, { number: 9, words }, 0x7f1n, 0x7f2n);
    const read = (name: keyof typeof register): bigint => made.readBigInt64LE(register[name]);
    assert.deepEqual([read("rdi"), read("rsi"), read("rdx"), read("r10"), read("r8"), read("r9")], words);
    assert.deepEqual([read("rax"), read("origRax"), read("rip"), read("rsp")], [9n, -1n, 0x7f1n, 0x7f2n]);
    for (const name of ["rbx", "rbp", "r12", "r15", "fsBase", "gsBase", "eflags"] as const) {
      assert.equal(read(name), saved.readBigInt64LE(register[name]), name);
    }
  });
  it("set arguments that are not given to 0", () => {
    const made = x64.registers.forCall(registers(), { number: 39, words: [] }, 0n, 0n);
    assert.equal(made.readBigInt64LE(register.rdi), 0n);
    assert.equal(made.readBigInt64LE(register.r9), 0n);
  });
});
