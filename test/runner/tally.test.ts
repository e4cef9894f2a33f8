import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Tally } from "./tally.js";

function run(work: (tally: Tally) => void): { code: number; last: string | undefined } {
  const lines: string[] = [];
  const tally = new Tally((line) => lines.push(line));
  work(tally);
  return { code: tally.finish(), last: lines.at(-1) };
}

describe("Tally", () => {
  it("ends with exactly one line of sums", () => {
    const { code, last } = run((tally) => {
      tally.pass(2);
      tally.pass();
    });
    assert.deepEqual({ code, last }, { code: 0, last: "3 passed, 0 failed" });
  });
  it("fails when one fails", () => {
    const { code, last } = run((tally) => {
      tally.pass();
      tally.fail("one", "two\nlines");
    });
    assert.deepEqual({ code, last }, { code: 1, last: "1 passed, 1 failed" });
  });
  it("fails when nothing ran", () => {
    assert.deepEqual(
      run(() => {}),
      { code: 1, last: "0 passed, 0 failed" },
    );
  });
  it("counts a skipped test as failed unless it says why", () => {
    assert.equal(
      run((tally) => {
        tally.pass();
        tally.skip("quiet", "");
      }).last,
      "1 passed, 1 failed",
    );
    assert.equal(
      run((tally) => {
        tally.pass();
        tally.skip("loud", "no such machine");
      }).last,
      "1 passed, 0 failed",
    );
  });
});
