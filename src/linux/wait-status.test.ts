import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeWaitStatus, type WaitStatus } from "./wait-status.js";

/** Status words as wait4(2) gives them for a seized thread, ptrace(2). */
const known: readonly (readonly [what: string, status: number, expected: WaitStatus])[] = [
  ["exit(0)", 0x0000, { kind: "exited", status: 0 }],
  ["exit(3)", 0x0300, { kind: "exited", status: 3 }],
  ["exit(255)", 0xff00, { kind: "exited", status: 255 }],
  ["SIGKILL", 0x0009, { kind: "killed", signal: 9 }],
  ["SIGSEGV with a core file", 0x008b, { kind: "killed", signal: 11 }],
  ["SIGBUS before delivery", 0x077f, { kind: "signal", signal: 7 }],
  ["SIGSTOP before delivery", 0x137f, { kind: "signal", signal: 19 }],
  ["the last real-time signal", 0x407f, { kind: "signal", signal: 64 }],
  ["SIGTRAP of its own", 0x057f, { kind: "signal", signal: 5 }],
  ["a system call, with PTRACE_O_TRACESYSGOOD", 0x857f, { kind: "system-call" }],
  ["PTRACE_EVENT_CLONE", 0x3057f, { kind: "event", event: 3, signal: 5 }],
  ["PTRACE_EVENT_EXEC", 0x4057f, { kind: "event", event: 4, signal: 5 }],
  ["PTRACE_EVENT_STOP after PTRACE_INTERRUPT", 0x80057f, { kind: "event", event: 128, signal: 5 }],
  ["PTRACE_EVENT_STOP in a group-stop", 0x80137f, { kind: "event", event: 128, signal: 19 }],
  ["SIGCONT", 0xffff, { kind: "continued" }],
];

describe("decodeWaitStatus", () => {
  for (const [what, status, expected] of known) {
    it(`understands ${what}`, () => assert.deepEqual(decodeWaitStatus(status), expected));
  }
  it("makes something of any word", () => {
    fc.assert(
      fc.property(fc.integer(), (status) => {
        const decoded = decodeWaitStatus(status);
        if (decoded.kind === "signal" || decoded.kind === "event") assert.equal(status & 0xff, 0x7f);
        if (decoded.kind === "killed") assert.notEqual(decoded.signal, 0);
      }),
    );
  });
});
