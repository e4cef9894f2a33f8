import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import { parseStat, readStat } from "./stat.js";

/** Objects as the parsers make them, so that deepEqual compares fields only. */
const PLAIN = { noNullPrototype: true } as const;

const statArbitrary = fc.record(
  {
    pid: fc.integer({ min: 1, max: 4_194_304 }),
    comm: fc.oneof(
      fc.constantFrom("(sd-pam)", "a) R 1 (b", ") S 0", "CPU 0/KVM", "x\ny", ""),
      fc.string({ unit: "binary", maxLength: 15 }),
    ),
    state: fc.constantFrom("R", "S", "D", "T", "t", "Z"),
    ppid: fc.integer({ min: 0, max: 4_194_304 }),
    startTime: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  },
  PLAIN,
);

/** Fields 5 to 21, then the start time, then 30 more, as do_task_stat() writes them; some are negative. */
function render(stat: ReturnType<typeof parseStat>): string {
  const middle = Array.from({ length: 17 }, (_none, index) => (index === 3 ? "-1" : String(index)));
  const rest = Array.from({ length: 30 }, () => "0");
  return `${stat.pid} (${stat.comm}) ${stat.state} ${stat.ppid} ${middle.join(" ")} ${stat.startTime} ${rest.join(" ")}\n`;
}

describe("stat", () => {
  it("reads back every stat the kernel can print, whatever the name", () => {
    fc.assert(
      fc.property(statArbitrary, (stat) => {
        assert.deepEqual(parseStat(render(stat)), stat);
      }),
      { numRuns: 1000 },
    );
  });

  it("gives a value or a LinuxError for any text", () => {
    fc.assert(
      fc.property(statArbitrary, fc.string({ unit: "binary-ascii" }), fc.nat(200), (stat, insert, at) => {
        const text = render(stat);
        for (const candidate of [insert, text.slice(0, at), text.slice(0, at) + insert + text.slice(at)]) {
          try {
            parseStat(candidate);
          } catch (error) {
            assert.ok(error instanceof LinuxError, String(error));
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("reads a start time of this process that does not change", () => {
    const first = readStat(process.pid);
    assert.equal(first.pid, process.pid);
    assert.equal(first.ppid, process.ppid);
    assert.ok(first.startTime > 0n);
    assert.equal(readStat(process.pid).startTime, first.startTime);
  });

  it("names a process that does not exist", () => {
    assert.throws(() => readStat(4_194_304), { code: "HM_PROC_GONE" });
  });
});
