import assert from "node:assert/strict";
import { describe } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** What a stock QEMU does by itself: the reason for all this. */
export const stock: Scenario = {
  name: "stock",
  summary: "no guard: one bad 4 KiB costs the guest the whole large page, 512 pages",
  victim: usualVictim,
  async run(lab) {
    const [large] = await lab.victim.ownLargePages(1);
    const gpa = large?.gpa ?? 0;
    await lab.victim.poison([gpa + 256 * 4096]);
    const result = await lab.victim.checker.check();
    assert.deepEqual(result.runs, [{ gpa, pages: 512 }], "runs of lost pages");
    assert.equal(result.corrupt, 0);
    const { exceptions } = await lab.victim.checker.machineChecks();
    return `${describe(result)}, ${exceptions} machine checks`;
  },
};
