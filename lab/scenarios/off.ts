import assert from "node:assert/strict";
import { describe, expectAlive, expectOnlyLost } from "../expect.js";
import { ledgerFolder } from "../lab-guard.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

const name = "left-alone";

/** The operator wants this VM left alone. */
export const off: Scenario = {
  name: "off",
  onlyInAll: true,
  summary:
    "a VM whose name is in /etc/hugemend/exempt: the guard refuses and touches nothing, until the name is taken out",
  victim: { ...usualVictim, id: "named", extra: `-name guest=${name},debug-threads=on` },
  async run(lab) {
    const { agent } = lab.host;
    await agent.must(`mkdir -p /etc/hugemend && echo ${name} > /etc/hugemend/exempt`);
    const words = ["guard", "--pid", String(lab.victim.pid), "--ledger", ledgerFolder, "--json", "2>&1"];
    const { code, stdout } = await lab.command(words);
    assert.notEqual(code, 0, "exit code of the guard");
    assert.match(stdout, /HM_GUARD_EXEMPT\b/);
    const tracers = await agent.must(`cat /proc/${lab.victim.pid}/task/*/status | grep TracerPid | sort -u`);
    assert.match(tracers.trim(), /^TracerPid:\s+0$/, "tracers of the VM");

    await agent.must("rm /etc/hugemend/exempt");
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    await lab.victim.poison(bad);
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    await guard.waitForCount("recovered", 1);
    await expectAlive(lab);
    return `${describe(result)}, once it was guarded`;
  },
};
