import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { curveMetric } from "./curve.js";
import { isKept, type Metric } from "./metric.js";
import { pointsOfGuards } from "./scale-guards.js";
import { pointsOfPages } from "./scale-pages.js";
import { pointsOfRam } from "./scale-ram.js";

/** The places of the real curves. */
const PLACES = [pointsOfGuards, pointsOfPages, pointsOfRam];

/** Five rounds at each place. */
const curve = (xs: readonly number[], cost: (x: number) => number, noise: readonly number[] = [0]): Metric =>
  curveMetric(
    "c",
    "ms",
    "pages",
    xs.map((x, place) => ({
      x,
      rounds: Array.from(
        { length: 5 },
        (_, round) => cost(x) * (1 + (noise[(5 * place + round) % noise.length] ?? 0)),
      ),
    })),
  );
const keeps = (...of: Parameters<typeof curve>): boolean | undefined => isKept(curve(...of));

const positive = fc.double({ min: 0.001, max: 1000, noNaN: true });
const places = fc.constantFrom(...PLACES);
/** One number for each round of each place. */
const noise = (most: number) =>
  fc.array(fc.double({ min: -most, max: most, noNaN: true }), { minLength: 35, maxLength: 35 });
/** The same, with a round on either side of the truth at each place. */
const onBothSides = (most: number) =>
  noise(most).map((changes) =>
    changes.map((change, at) =>
      at % 5 === 0 ? -Math.abs(change) : at % 5 === 1 ? Math.abs(change) : change,
    ),
  );

describe("a curve", () => {
  test("that is straight is kept, whatever it costs", () => {
    fc.assert(
      fc.property(places, fc.nat(1000), fc.nat(1000), (xs, fixed, each) => {
        fc.pre(fixed + each > 0);
        assert.equal(
          keeps(xs, (x) => fixed + each * x),
          true,
        );
      }),
    );
  });

  test("that is noisy is kept, constant or in proportion or both or slower", () => {
    const shape = fc.constantFrom<(x: number) => number>(
      (x) => x,
      () => 1,
      (x) => 20 + x,
      Math.sqrt,
      (x) => Math.min(x, 60),
    );
    fc.assert(
      fc.property(places, shape, onBothSides(0.1), (xs, cost, changes) => {
        assert.equal(keeps(xs, cost, changes), true);
      }),
      { numRuns: 1000 },
    );
  });

  test("with a quadratic part of 30 % at its end is not", () => {
    fc.assert(
      fc.property(places, positive, fc.nat(1000), noise(0.002), (xs, fixed, each, changes) => {
        const end = Math.max(...xs);
        const share = (0.3 * (fixed + each * end)) / end ** 2;
        assert.equal(
          keeps(xs, (x) => fixed + each * x + share * x * x, changes),
          false,
        );
      }),
    );
  });

  test("that doubles by its quadratic part is not, in a noise of 5 % either", () => {
    for (const xs of PLACES) {
      const end = Math.max(...xs);
      assert.equal(
        keeps(xs, (x) => 1 + (x / end) ** 2, [0, -0.05, 0.03, 0.05, -0.02]),
        false,
      );
    }
  });

  test("that bends is not, however far its rounds are apart", () => {
    const wild = [-0.7, -0.3, 0, 0.4, 0.9];
    for (const xs of PLACES)
      assert.equal(
        keeps(xs, (x) => x * x, wild),
        false,
      );
    for (const xs of PLACES)
      assert.equal(
        keeps(xs, (x) => 1 + (3 * x * x) / Math.max(...xs) ** 2, wild),
        false,
      );
  });

  test("that only begins beyond a point is not straight, nor is one that grows a little more than in proportion", () => {
    for (const xs of PLACES) {
      const end = Math.max(...xs);
      assert.equal(
        keeps(xs, (x) => 10 + Math.max(0, x - end / 4)),
        false,
      );
      assert.equal(
        keeps(xs, (x) => x ** 1.1),
        false,
      );
    }
  });
});

test("the worst point is told, with what the line has there", () => {
  const rounds = (x: number, value: number) => ({ x, rounds: [value] });
  const { value, baseline, ratio, at, least } = curveMetric("c", "ms", "pages", [
    rounds(1, 10),
    rounds(50, 20),
    rounds(101, 110),
  ]);
  assert.deepEqual({ value, baseline, at, least }, { value: 20, baseline: 59, at: 50, least: 0.95 });
  assert.ok(Math.abs(ratio - 20 / 59) < 1e-9);
});

test("what lies between the rounds is asked of no point", () => {
  const { least } = curveMetric("c", "ms", "pages", [
    { x: 1, rounds: [98, 100, 102] },
    { x: 2, rounds: [97, 100, 104] },
    { x: 3, rounds: [99, 100, 110] },
  ]);
  assert.ok(Math.abs((least ?? 0) - (0.95 - 0.015 - 0.04)) < 1e-9, String(least));
});

test("a curve of one point is none", () => {
  assert.throws(() => curveMetric("c", "ms", "pages", [{ x: 1, rounds: [1] }]), RangeError);
});
