import assert from "node:assert/strict";
import { BusSignals } from "../bus-signals.js";
import { describe, expectAlive, expectMachineChecks, expectOnlyLost, expectRecovered } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** Nobody touches the page until the guard is done with it. */
export const aoProactive: Scenario = {
  name: "ao-proactive",
  summary:
    "an error nobody has touched is recovered on the kernel's report: good bytes are read without one more signal",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    await lab.victim.poison(bad);
    const recovered = await guard.waitForCount("recovered", 1, 15_000);
    expectRecovered(recovered, bad);
    assert.equal(recovered[0]?.["trigger"], "AO", "what set the recovery off");
    const signals = await BusSignals.watch(lab);
    for (const page of [0, 1, 100, 255, 257, 300, 511]) {
      assert.equal(
        await lab.victim.checker.touch((large?.index ?? 0) + page),
        "ok",
        `page ${page} of the large page`,
      );
    }
    assert.deepEqual(await signals.lines(), [], "SIGBUS for good bytes");
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    const sent = await signals.lines();
    assert.ok(sent.length <= 1, `SIGBUS for one lost page:\n${sent.join("\n")}`);
    await expectMachineChecks(lab, bad);
    await expectAlive(lab);
    assert.deepEqual(guard.all("refused"), []);
    return `${describe(result)}; recovered before the first touch, no signal for good bytes`;
  },
};
