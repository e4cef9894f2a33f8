import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseTrial } from "./parse-trial.js";

const report = {
  runs: [{ seen: "error", pages: 512 }],
  bad: 256,
  leftover: { markedBytes: 0, poolPages: 0 },
};

describe("what the self-test's process prints", () => {
  it("is a report, with or without poison before it", () => {
    assert.deepEqual(parseTrial({ output: `poisoning\n${JSON.stringify(report)}\n` }), {
      report,
      poisoned: true,
    });
    const refused = { unsupported: "no page" };
    const output = `${JSON.stringify(refused)}\n`;
    assert.deepEqual(parseTrial({ output }), { report: refused, poisoned: false });
  });

  it("tells a death by the poison from one before it", () => {
    assert.deepEqual(parseTrial({ output: "" }), { report: undefined, poisoned: false });
    assert.deepEqual(parseTrial({ output: "poisoning\n" }), { report: undefined, poisoned: true });
  });

  it("is never taken for a report when it is cut off", () => {
    const whole = `poisoning\n${JSON.stringify(report)}\n`;
    fc.assert(
      fc.property(fc.nat(whole.length - 3), (length) => {
        assert.equal(parseTrial({ output: whole.slice(0, length) }).report, undefined);
      }),
    );
  });
});
