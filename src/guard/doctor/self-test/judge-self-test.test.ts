import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SalvageSupport } from "../../../linux/procfs/kernel-version.js";
import { judgeSelfTest } from "./judge-self-test.js";

const rows: readonly SalvageSupport[] = ["ok", "all-eio", "drops", "broken"];
const release = "6.12.107-amd64";
const why = "512 right";

describe("the self-test's finding", () => {
  it("is fine only when the kernel reads as it must, its version says so, and nothing is left behind", () => {
    for (const verdict of rows) {
      for (const table of rows) {
        const { severity, cost, fix, message } = judgeSelfTest({ verdict, why }, table, release);
        const expected = verdict !== "ok" ? "blocker" : table === "ok" ? "ok" : "note";
        assert.equal(severity, expected, `${verdict}, ${table}`);
        assert.equal(cost === undefined && fix === undefined, severity === "ok");
        assert.ok(message.includes(verdict) && message.includes(release));
        assert.equal(message.includes("as its version says"), verdict === table);
      }
    }
  });

  it("names what it could not undo", () => {
    const test = { verdict: "ok", why, leftover: { markedBytes: 4096, poolPages: 1 } } as const;
    const { severity, cost } = judgeSelfTest(test, "ok", release);
    assert.equal(severity, "note");
    assert.equal(
      cost,
      "4 KiB of memory stay marked bad until the next boot. The pool has 1 large page less to give.",
    );
    const bad = judgeSelfTest({ ...test, verdict: "all-eio" }, "all-eio", release);
    assert.match(bad.message, /marked bad until the next boot/);
  });

  it("says why it was not made", () => {
    const { severity, message } = judgeSelfTest({ verdict: "unsupported", why: "no reason" }, "ok", release);
    assert.equal(severity, "warning");
    assert.match(message, /unsupported\): no reason\.$/);
    const leftover = { markedBytes: 4096, poolPages: 0 };
    const poisoned = judgeSelfTest({ verdict: "unsupported", why: "late", leftover }, "ok", release);
    assert.match(poisoned.message, /late\. 4 KiB of memory stay marked bad/);
  });
});
