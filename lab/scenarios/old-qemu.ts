import assert from "node:assert/strict";
import { expectAlive, expectOnlyLost, expectRecovered } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { oldQemuVictim } from "../victim-config.js";

/**
 * The oldest QEMU that Debian still serves, on a kernel that can read the good part of a bad large page. It cannot tell this guest of an
 * error (victim-config.ts), so the lost page is not touched: QEMU would end, as without a guard it does at any of the 512.
 */
export const oldQemu: Scenario = {
  name: "old-qemu",
  onlyInAll: true,
  summary: "Debian 12's QEMU 7.2: one 4 KiB of a large page goes bad, every other one is intact",
  victim: oldQemuVictim,
  async run(lab) {
    const version = JSON.stringify(await lab.victim.qmp.execute("query-version"));
    assert.match(version, /"major":7\b/, version);
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = (large?.gpa ?? 0) + 256 * 4096;
    await lab.victim.poison([bad]);
    const result = await lab.victim.checker.check(1, 120_000, (large?.index ?? 0) + 256);
    expectOnlyLost({ ...result, ok: result.ok - 1, lost: 1, runs: [{ gpa: bad, pages: 1 }] }, [bad]);
    expectRecovered(await guard.waitForCount("recovered", 1), [bad]);
    assert.equal(result.lost, 0, "lost pages among those that were read");
    assert.deepEqual(await lab.victim.injected(), { ar: 0, ao: 0 });
    await expectAlive(lab);
    return `${result.ok - 1} intact, 1 lost and not touched, ${result.corrupt} corrupt`;
  },
};
