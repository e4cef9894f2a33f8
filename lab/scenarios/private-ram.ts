import assert from "node:assert/strict";
import { describe, expectAlive } from "../expect.js";
import { ledgerFolder } from "../lab-guard.js";
import type { Scenario } from "../scenario.js";
import { usualVictim, type VictimConfig } from "../victim-config.js";

const LARGE = 2 ** 21;

/** RAM whose file does not hold what the guest wrote: nothing can be salvaged, and the user is told before. */
function privateRam(name: string, option: string, victim: VictimConfig): Scenario {
  return {
    name,
    summary: `${option}: the guard warns, doctor warns, the ledger holds it, and nothing is worse than stock`,
    victim,
    async run(lab) {
      const guard = await lab.guard();
      const warning = await guard.waitFor("warning", 5000, (event) => event["code"] === "HM_RAM_PRIVATE");
      assert.match(String(warning["message"]), /share=on/);
      await lab.host.agent.must(`grep -r HM_RAM_PRIVATE ${ledgerFolder}`);
      const doctor = await lab.command(["doctor", "--pid", String(lab.victim.pid)]);
      assert.match(doctor.stdout, /share=on/, "doctor names the option");

      const [large] = await lab.victim.ownLargePages(1);
      const gpa = large?.gpa ?? 0;
      await lab.victim.poison([gpa + LARGE / 2]);
      const result = await lab.victim.checker.check();
      assert.equal(result.corrupt, 0, "corrupt pages");
      for (const run of result.runs) {
        const inside = run.gpa >= gpa && run.gpa + run.pages * 4096 <= gpa + LARGE;
        assert.ok(inside, `pages lost outside the bad large page: 0x${run.gpa.toString(16)}+${run.pages}`);
      }
      assert.ok(result.lost >= 1 && result.lost <= 512, `${result.lost} pages lost, stock loses 512`);
      assert.equal((await guard.waitFor("refused"))["code"], "HM_PLAN_PRIVATE");
      assert.deepEqual(guard.all("recovered"), [], "nothing can be recovered here");
      await expectAlive(lab);
      return `${describe(result)}; warned beforehand`;
    },
  };
}

/** `memory-backend-file` without `share=on`. */
export const shareOff: Scenario = privateRam("share-off", "memory-backend-file,share=off", {
  ...usualVictim,
  id: "share-off",
  shared: false,
});

/** The old option, which maps privately. */
export const memPath: Scenario = privateRam("mem-path", "-mem-path", {
  ...usualVictim,
  id: "mem-path",
  memory: "-m 256M -mem-path /dev/hugepages -mem-prealloc",
});
