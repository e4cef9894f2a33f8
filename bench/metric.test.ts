import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodeOf, isKept, metricOf } from "./metric.js";

const kept = metricOf("a", "ms", 1, 2, { limit: 0.5 });
const broken = metricOf("a", "ms", 3, 2, { limit: 1.4 });
const free = metricOf("a", "ms", 3, 2);
const none = { metric: "a", notMeasured: "no large page" };

test("a promise is kept up to its limits", () => {
  assert.deepEqual([kept, broken, free].map(isKept), [true, false, undefined]);
  assert.equal(isKept(metricOf("a", "GiB/s", 6, 10, { least: 0.7 })), false);
  assert.equal(isKept(metricOf("a", "ms", 0, 0, { limit: 1 })), false, "no number keeps no promise");
});

test("the exit code tells the worst", () => {
  assert.equal(exitCodeOf([kept, free]), 0);
  assert.equal(exitCodeOf([kept, none]), 2);
  assert.equal(exitCodeOf([none, broken, kept]), 1);
  assert.equal(exitCodeOf([]), 2);
});
