import assert from "node:assert/strict";
import { test } from "node:test";
import { lookAgain } from "./look-again.js";

/** @returns when it looked in an hour, in milliseconds, and how often it did the other thing */
function looks(
  timers: { enable(options: { apis: ["setTimeout"] }): void; tick(ms: number): void; reset(): void },
  sureFrom: number,
): { readonly at: number[]; readonly besides: number } {
  timers.enable({ apis: ["setTimeout"] });
  const at: number[] = [];
  let now = 0;
  let besides = 0;
  const look = (): boolean => {
    at.push(now);
    return now >= sureFrom;
  };
  lookAgain(look, () => {
    besides += 1;
  });
  for (; now < 3_600_000; now += 100) timers.tick(100);
  timers.reset();
  return { at: at.map((ms) => ms + 100), besides };
}

test("three looks are all if each can tell", ({ mock: { timers } }) => {
  assert.deepEqual(looks(timers, 0), { at: [100, 1000, 10_000], besides: 3 });
});

test("the last one is repeated until it can tell", ({ mock: { timers } }) => {
  const { at, besides } = looks(timers, 12_000);
  assert.deepEqual(at, [100, 1000, 10_000, 10_500, 11_500, 13_500]);
  assert.equal(besides, 3);
});

test("what can never be told is not looked for any more in the end, and less and less often before", ({
  mock: { timers },
}) => {
  const { at, besides } = looks(timers, Number.POSITIVE_INFINITY);
  assert.deepEqual(at, [100, 1000, 10_000, 10_500, 11_500, 13_500, 17_500, 25_500, 41_500, 73_500, 137_500]);
  assert.equal(besides, 3);
});
