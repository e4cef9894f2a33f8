import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { curveMetric } from "./curve.js";
import { isKept } from "./metric.js";

const xs = [1, 10, 100, 1000];
const judge = (cost: (x: number) => number): boolean | undefined =>
  isKept(
    curveMetric(
      "c",
      "ms",
      "pages",
      xs.map((x) => ({ x, value: cost(x) })),
    ),
  );

test("a cost with a fixed and a proportional part is linear", () => {
  const positive = fc.double({ min: 0.001, max: 1000, noNaN: true });
  fc.assert(
    fc.property(positive, positive, (fixed, each) => {
      assert.equal(
        judge((x) => fixed + each * x),
        true,
      );
    }),
  );
});

test("a quadratic cost is seen as soon as it counts", () => {
  assert.equal(
    judge((x) => x * x),
    false,
  );
  assert.equal(
    judge((x) => 1000 + x * x),
    false,
  );
});

test("the worst step is told", () => {
  const points = [
    { x: 1, value: 1 },
    { x: 10, value: 30 },
    { x: 100, value: 31 },
  ];
  const { value, baseline, ratio } = curveMetric("c", "ms", "pages", points);
  assert.deepEqual({ value, baseline, ratio }, { value: 30, baseline: 10, ratio: 3 });
});
