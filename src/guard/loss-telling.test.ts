import assert from "node:assert/strict";
import { test } from "node:test";
import type { PublicEvent } from "../ledger/events.js";
import { LossTelling } from "./loss-telling.js";

interface Case {
  readonly release: { readonly major: number; readonly minor: number } | undefined;
  readonly hasMonitor: boolean;
}

/** What it says while QEMU gets two signals. */
function story(init: Case): { route: string; atStart: boolean; told: readonly string[]; after: string } {
  const events: PublicEvent[] = [];
  const telling = new LossTelling({ journal: { tell: (event) => events.push(event) }, ...init });
  const { route, warning } = telling;
  telling.bySignal("it was so");
  telling.bySignal("it was so again");
  const told = events.map((event) => (event.event === "warning" ? event.code : event.event));
  return { route, atStart: warning !== undefined, told, after: telling.route };
}

test("a QEMU that ends at a reset is warned of once it knows, and is told by signal from then on", () => {
  const told = ["HM_QEMU_EXITS_AT_RESET"];
  const rows = [
    [7, true, "monitor", false],
    [7, false, "signal", true],
    [9, true, "signal", true],
  ] as const;
  for (const [major, hasMonitor, route, atStart] of rows) {
    const expected = { route, atStart, told, after: "signal" };
    assert.deepEqual(story({ release: { major, minor: 2 }, hasMonitor }), expected, `QEMU ${major}.2`);
  }
});

test("nobody is warned of a QEMU that lives, or of one nobody knows", () => {
  for (const release of [{ major: 10, minor: 0 }, undefined]) {
    for (const hasMonitor of [true, false]) {
      const none = { route: "signal", atStart: false, told: [], after: "signal" };
      assert.deepEqual(story({ release, hasMonitor }), none);
    }
  }
});

test("pages lost before this guard are a reason to warn only where it matters", () => {
  const codes = (init: Case): number => {
    let count = 0;
    new LossTelling({ journal: { tell: () => count++ }, ...init }).afterGap();
    return count;
  };
  assert.equal(codes({ release: { major: 7, minor: 2 }, hasMonitor: true }), 1);
  assert.equal(codes({ release: { major: 7, minor: 2 }, hasMonitor: false }), 0);
  assert.equal(codes({ release: { major: 10, minor: 0 }, hasMonitor: true }), 0);
});

test("a thread that QEMU has not told of is looked up once", () => {
  const telling = new LossTelling({ journal: { tell: () => {} }, release: undefined, hasMonitor: true });
  assert.deepEqual(
    [7, 8, 7, 7].map((tid) => telling.comesAgain(tid)),
    [false, false, true, false],
  );
});
