import assert from "node:assert/strict";
import { describe, expectAlive } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

const LARGE = 2 ** 21;

/**
 * The guard is told that it runs on Debian 12's kernel. The kernel itself is the lab's own: what is proven is that the version
 * alone makes the guard keep its hands off, and that the VM then fares as without one.
 */
export const oldKernel: Scenario = {
  name: "old-kernel",
  onlyInAll: true,
  summary: "a guard that takes the kernel for Linux 6.1 refuses by version, and nothing is worse than stock",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.disguisedGuard("6.1.0-37-amd64");
    const [large] = await lab.victim.ownLargePages(1);
    const gpa = large?.gpa ?? 0;
    await lab.victim.poison([gpa + LARGE / 2]);
    const result = await lab.victim.checker.check();
    assert.equal(result.corrupt, 0, "corrupt pages");
    assert.equal(result.lost, 512, "stock loses the whole large page");
    for (const run of result.runs) {
      assert.ok(
        run.gpa >= gpa && run.gpa + run.pages * 4096 <= gpa + LARGE,
        "lost inside the bad large page only",
      );
    }
    const refused = await guard.waitFor("refused");
    assert.equal(refused["code"], "HM_PLAN_KERNEL");
    assert.deepEqual(guard.all("recovered"), []);
    await expectAlive(lab);
    return `${describe(result)}; ${String(refused["message"])}`;
  },
};
