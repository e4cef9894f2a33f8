import assert from "node:assert/strict";
import { test } from "node:test";
import { hva } from "../linux/address.js";
import { Refusals } from "./refusals.js";

const PAGE = hva(0x7f0000200000);
const OTHER = hva(0x7f0000400000);

test("a refused page is left alone until the next reset", () => {
  const refusals = new Refusals();
  refusals.add(PAGE, "HM_PLAN_PRIVATE");
  assert.ok(refusals.takes(PAGE));
  assert.ok(refusals.takes(PAGE));
  assert.ok(!refusals.takes(OTHER));
  refusals.clear();
  assert.ok(!refusals.takes(PAGE));
});

test("a page without an error is left alone for the repeated access only", () => {
  const refusals = new Refusals();
  refusals.add(PAGE, "HM_SALVAGE_NOTHING_LOST");
  assert.ok(refusals.has(PAGE));
  assert.ok(refusals.takes(PAGE));
  assert.ok(!refusals.takes(PAGE));
});

test("a signal that was delivered with the refusal leaves nothing to wait for", () => {
  const refusals = new Refusals();
  refusals.addLasting(PAGE, "HM_SALVAGE_NOTHING_LOST");
  assert.ok(!refusals.takes(PAGE));
  refusals.addLasting(PAGE, "HM_PLAN_KERNEL");
  assert.ok(refusals.takes(PAGE));
});
