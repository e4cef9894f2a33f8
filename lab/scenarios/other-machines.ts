import assert from "node:assert/strict";
import { describe, expectAlive, expectMachineChecks, expectOnlyLost, expectRecovered } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim, type VictimConfig } from "../victim-config.js";

function onePageOn(victim: VictimConfig, name: string, summary: string): Scenario {
  return {
    name,
    summary,
    victim,
    async run(lab) {
      const guard = await lab.guard();
      const [large] = await lab.victim.ownLargePages(1);
      const bad = [(large?.gpa ?? 0) + 256 * 4096];
      await lab.victim.poison(bad);
      const result = await lab.victim.checker.check();
      expectOnlyLost(result, bad);
      expectRecovered(await guard.waitForCount("recovered", 1), bad);
      await expectMachineChecks(lab, bad);
      await expectAlive(lab);
      return describe(result);
    },
  };
}

/** RAM in a memfd of large pages. */
export const memfd: Scenario = onePageOn(
  { ...usualVictim, id: "memfd", backing: "memfd" },
  "memfd",
  "RAM from memory-backend-memfd,hugetlb=on: exactly one page is lost",
);

/** QEMU as it should be run: without privileges. */
export const confined: Scenario = onePageOn(
  { ...usualVictim, id: "confined", confined: true },
  "confined",
  "QEMU as an ordinary user in its seccomp sandbox: exactly one page is lost",
);

/** No `share=on`: the file does not hold the guest's data, so nothing can be salvaged. */
export const notShared: Scenario = {
  name: "not-shared",
  summary: "a VM without share=on: the guard warns, and nothing is worse than stock",
  victim: { ...usualVictim, id: "not-shared", shared: false },
  async run(lab) {
    const guard = await lab.guard();
    const warning = await guard.waitFor("warning", 5000);
    const [large] = await lab.victim.ownLargePages(1);
    const gpa = large?.gpa ?? 0;
    await lab.victim.poison([gpa + 256 * 4096]);
    const result = await lab.victim.checker.check();
    assert.equal(result.corrupt, 0, "corrupt pages");
    for (const run of result.runs) {
      const inside = run.gpa >= gpa && run.gpa + run.pages * 4096 <= gpa + 2 ** 21;
      assert.ok(inside, `pages lost outside the bad large page: 0x${run.gpa.toString(16)}+${run.pages}`);
    }
    assert.ok(result.lost >= 1 && result.lost <= 512, `${result.lost} pages lost, stock loses 512`);
    assert.deepEqual(guard.all("recovered"), [], "nothing can be recovered here");
    await expectAlive(lab);
    return `${describe(result)}; warned: ${String(warning["code"])}`;
  },
};
