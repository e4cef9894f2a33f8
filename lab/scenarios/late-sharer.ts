import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { expectAlive, expectRecovered, expectTriggers } from "../expect.js";
import { payloadFolder } from "../payload.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** Longer than a look at all processes counts as new (src/guard/sharer-watch.ts), far shorter than the time between two. */
const stale = 1500;

/** A process maps the RAM, and ends again, while the guard looks for such processes every 30 s only. */
export const lateSharer: Scenario = {
  name: "late-sharer",
  onlyInAll: true,
  summary:
    "a process maps the RAM right before an untouched error: refused; it ends right before another: recovered",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [one, two] = await lab.victim.ownLargePages(2);
    assert.ok(one !== undefined && two !== undefined);
    const sharer = lab.host.agent.spawn(
      `exec node ${payloadFolder}/dist/lab/ram-sharer.js ${lab.victim.pid}`,
    );
    await sharer.out.wait("the other process's mapping", (line) => line === "mapped", 120_000);
    await lab.victim.poison([one.gpa + 4096]);
    const refused = await guard.waitFor("refused");
    assert.equal(refused["code"], "HM_PLAN_SHARED_WITH_OTHERS");
    assert.match(String(refused["message"]), /\(node\)/);
    assert.deepEqual(guard.all("recovered"), []);
    sharer.close();
    await sharer.wait(60_000);
    await sleep(stale);
    const bad = two.gpa + 4096;
    await lab.victim.poison([bad]);
    const recovered = await guard.waitForCount("recovered", 1);
    expectRecovered(recovered, [bad]);
    expectTriggers(recovered, "AO");
    await expectAlive(lab);
    return "refused while it was mapped, recovered when it was not";
  },
};
