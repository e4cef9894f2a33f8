import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bench, choose } from "./bench.js";

const bench = (...metrics: [string, ...string[]]): Bench => ({ metrics, summary: "", run: async () => [] });
const stall = bench("stall.2M", "stall.2M.first");
const large = bench("stall.1G");
const rest = bench("rest.cpu");
const all = [stall, large, rest];

test("benchmarks are chosen by metric or by the beginning of its name", () => {
  assert.deepEqual(choose(all, []), all);
  assert.deepEqual(choose(all, ["stall"]), [stall, large]);
  assert.deepEqual(choose(all, ["stall.1G", "rest"]), [large, rest]);
});

test("a name that is none is refused", () => {
  for (const name of ["stal", "stall.", "rest.cpu.x", ""])
    assert.throws(() => choose(all, [name]), RangeError, name);
});
