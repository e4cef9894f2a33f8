import assert from "node:assert/strict";
import { test } from "node:test";
import { BusMasks } from "./bus-masks.js";

const MAIN = 1;
const CPU = 2;
const YOUNG = 3;
const masks = (): BusMasks => new BusMasks(new Map([[MAIN, "blocked"] as const, [CPU, "open"] as const]));

test("a thread known to block SIGBUS blocks it again, a virtual CPU never does", () => {
  const known = masks();
  assert.equal(known.settle(MAIN, true, true, 0), true);
  assert.equal(known.settle(CPU, true, true, 0), false);
  assert.equal(known.settle(CPU, true, false, 0), false);
});

test("a thread that was in its handler when it was looked at is no blocker", () => {
  const books = masks();
  assert.equal(books.settle(MAIN, true, false, 0), false, "no handler went with its signal");
  books.lookAgain((tid) => (tid === MAIN ? "open" : "blocked"), 0);
  assert.equal(books.settle(MAIN, true, true, 0), false, "seen open");
});

test("a thread that stands with its mask lost is not taken for one that never blocked", () => {
  const unsure = masks();
  unsure.lookAgain(() => undefined, 0);
  assert.equal(unsure.settle(MAIN, true, true, 0), true, "its handler is gone, so its mask says nothing");
  const owing = masks();
  assert.equal(owing.settle(CPU, true, true, 0), false, "another thread has put the handler back");
  owing.lookAgain(() => "open", 1);
  assert.equal(owing.settle(MAIN, true, false, 2), true, "while a mask is owed nothing is learnt");
});

test("a young thread is recognised by the handler that went with its signal", () => {
  assert.equal(masks().settle(YOUNG, true, true, 0), true);
  assert.equal(masks().settle(YOUNG, true, false, 0), false);
});

test("a young thread is recognised although the handler was put back before its stop was seen", () => {
  for (const [other, stopped] of [
    [MAIN, false],
    [CPU, true],
  ] as const) {
    const books = masks();
    assert.equal(books.settle(other, stopped, true, 0), false, "not that thread's doing");
    assert.equal(books.owes(YOUNG, 1), true);
    assert.equal(books.settle(YOUNG, true, false, 1), true);
    assert.equal(books.settle(YOUNG, true, false, 2), false, "once");
  }
});

test("a debt that nobody claims is forgotten", () => {
  const books = masks();
  books.settle(MAIN, false, true, 0);
  assert.equal(books.settle(YOUNG, true, false, 5000), false);
});

test("a second thread that blocks SIGBUS and stood at an error at the same moment blocks it again", () => {
  const OTHER = 4;
  const books = new BusMasks(new Map([MAIN, OTHER].map((tid) => [tid, "blocked"] as const)));
  assert.equal(books.settle(MAIN, true, true, 0), true, "the handler went with its signal");
  books.lookAgain(() => "open", 1);
  assert.equal(books.owes(OTHER, 1), true, "it stands, without its mask: nothing is learnt from that");
  assert.equal(books.owes(CPU, 1), false);
  assert.equal(books.settle(OTHER, true, false, 1), true, "there was no handler to be taken any more");
  assert.equal(books.settle(CPU, true, false, 1), false);
  assert.equal(books.settle(OTHER, true, false, 5000), false, "much later it stops for something else");
});
