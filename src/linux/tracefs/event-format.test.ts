import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import { isLostEvents, parseEventFormat, readEventLine } from "./event-format.js";

/** As Linux 6.12 prints it, with its tables shortened. */
const MEMORY_FAILURE = `name: memory_failure_event
ID: 1453
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:unsigned long pfn;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int type;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int result;\toffset:20;\tsize:4;\tsigned:1;

print fmt: "pfn %#lx: recovery action for %s: %s", REC->pfn, __print_symbolic(REC->type, { 0, "reserved kernel page" }, { 4, "a, \\"huge\\" page" }), __print_symbolic(REC->result, { 0, "Ignored" }, { 3, "Recovered" })
`;
const SIGNAL = `name: signal_generate
format:
\tfield:int sig;\toffset:8;\tsize:4;\tsigned:1;
\tfield:char comm[16];\toffset:20;\tsize:16;\tsigned:0;

print fmt: "sig=%d comm=%s 100%% (%d)", REC->sig, REC->comm, 4
`;

describe("the format of a trace event", () => {
  it("names the fields of its lines", () => {
    const format = parseEventFormat(MEMORY_FAILURE);
    assert.equal(format.name, "memory_failure_event");
    assert.deepEqual(format.printed, ["pfn", "type", "result"]);
    const line = "memory_failure_event: pfn 0x15e21: recovery action for huge page: Recovered";
    assert.deepEqual(
      readEventLine(format, line),
      new Map([
        ["pfn", "0x15e21"],
        ["type", "huge page"],
        ["result", "Recovered"],
      ]),
    );
  });

  it("reads by name whatever the order", () => {
    const turned = MEMORY_FAILURE.replace(
      /print fmt: .*/,
      'print fmt: "%s, frame=%lx", __print_symbolic(REC->type, { 0, "a" }), REC->pfn',
    );
    assert.equal(
      readEventLine(parseEventFormat(turned), "memory_failure_event: a, frame=7f")?.get("pfn"),
      "7f",
    );
  });

  it("tells other lines apart", () => {
    const format = parseEventFormat(SIGNAL);
    assert.deepEqual(readEventLine(format, "signal_generate: sig=-7 comm=a b 100% (4)")?.get("sig"), "-7");
    for (const line of [
      "",
      "signal_deliver: sig=7 comm=a 100% (4)",
      " signal_generate: sig=7 comm=a 100% (4)",
    ])
      assert.equal(readEventLine(format, line), undefined, line);
    assert.equal(isLostEvents("CPU:12 [LOST 3 EVENTS]"), true);
    assert.equal(isLostEvents("CPU:0 [LOST EVENTS]"), true);
    assert.equal(isLostEvents("memory_failure_event: CPU:0 [LOST 3 EVENTS]"), false);
  });

  it("is refused when it cannot be understood", () => {
    for (const text of [
      "",
      "name: x\n",
      MEMORY_FAILURE.replace(", REC->pfn", ""),
      MEMORY_FAILURE.replace(/field/g, "f"),
    ])
      assert.throws(() => parseEventFormat(text), { code: "HM_TRACE_FORMAT" });
  });

  it("is read or refused, whatever it holds", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "name: a\n",
        "\tfield:int b;",
        'print fmt: "',
        '%d", REC->b',
        "%s",
        "(",
        ",",
        "\\",
        '"',
        "\n",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece), fc.string(), (pieces, line) => {
        try {
          const format = parseEventFormat(pieces.join(""));
          const fields = readEventLine(format, line);
          for (const name of fields?.keys() ?? []) assert.ok(format.printed.includes(name));
        } catch (error) {
          assert.ok(error instanceof LinuxError, String(error));
        }
      }),
    );
  });

  it("survives a changed byte", () => {
    const at = fc.nat(MEMORY_FAILURE.length - 1);
    fc.assert(
      fc.property(at, fc.string({ minLength: 1, maxLength: 1 }), (index, letter) => {
        const text = MEMORY_FAILURE.slice(0, index) + letter + MEMORY_FAILURE.slice(index + 1);
        try {
          parseEventFormat(text);
        } catch (error) {
          assert.ok(error instanceof LinuxError, String(error));
        }
      }),
    );
  });
});
