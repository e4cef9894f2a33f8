import assert from "node:assert/strict";
import { test } from "node:test";
import { roundsOf } from "./scale-guards.js";

test("a round of many guards is a fifth of them, one of a single guard what it has cost but for one time", () => {
  const many = Array.from({ length: 10 }, (_, guard) => 1 + guard);
  assert.deepEqual(roundsOf(many, 10), [35, 45, 55, 65, 75]);
  assert.deepEqual(roundsOf([1, 1, 1, 1, 5], 1), [2, 2, 2, 2, 1]);
});
