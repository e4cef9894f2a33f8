import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseFillRate } from "./fill-rate.js";

describe("parseFillRate", () => {
  for (const [text, rate] of [
    ["0", 0],
    ["200", 200],
    ["0.5", 0.5],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseFillRate(text), rate));
  }
  for (const text of ["", " ", "-1", "1e3", "fast", "NaN", "Infinity", "0x10", "1000001"]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseFillRate(text), { code: "HM_CLI_FILL_RATE" });
    });
  }
});
