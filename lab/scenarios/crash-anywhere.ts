import assert from "node:assert/strict";
import { untouchedSteps } from "../../src/guard/guard-context.js";
import { populatedSwapSteps } from "../../src/recovery/populated-swap.js";
import { expectAlive, expectGuestLost } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** After these the small pages are in place. */
const swapped: ReadonlySet<string> = new Set(["swapped", "released", "outcome-recorded"]);
/**
 * Nobody touches the bad pages, so these are the steps of that walk; of the swap some: all of them are walked natively, in
 * test/integration/death.test.ts.
 */
const sample = [
  ...untouchedSteps,
  "planned",
  ...populatedSwapSteps.filter((_, number) => number % 2 === 0),
  "released",
  "outcome-recorded",
];

/** The guard is killed with -9 in the middle of a recovery, at one step after another. */
export const crashAnywhere: Scenario = {
  name: "crash-anywhere",
  onlyInAll: true,
  summary: `the guard dies at ${sample.length + 1} steps of a recovery, once while it holds the VM paused: the next one finishes each time`,
  victim: usualVictim,
  async run(lab) {
    const deaths = [...sample, "paused"];
    const large = await lab.victim.ownLargePages(deaths.length);
    const bad = large.map(({ gpa }, number) => gpa + (7 + number) * 4096);
    for (const [number, step] of deaths.entries()) await dieAndTakeOver(lab, step, bad[number] ?? 0);
    const seen = await expectGuestLost(lab, bad);
    return `${seen}; killed at ${deaths.join(", ")}`;
  },
};

async function dieAndTakeOver(lab: LabSession, step: string, bad: number): Promise<void> {
  const paused = step === "paused";
  const doomed = await lab.doomedGuard(step, paused ? ["--quiesce", "always"] : []);
  await lab.victim.poison([bad]);
  assert.equal((await doomed.ended(60_000)).code, 137, `end of the guard at ${step}`);
  assert.equal(await lab.victim.qmp.status(), paused ? "paused" : "running", `the VM after ${step}`);

  const heir = await lab.guard();
  if (!swapped.has(step)) {
    const [recovered] = await heir.waitForCount("recovered", 1);
    assert.equal(recovered?.["salvagedBytes"], 2 ** 21 - 4096, `recovered after ${step}`);
  }
  assert.equal(await lab.victim.qmp.status(), "running", `the VM under the next guard, after ${step}`);
  await expectAlive(lab);
  heir.kill(15);
  assert.equal((await heir.ended()).code, 0, "end of the next guard");
  const left = await lab.host.agent.run(`ls -l /proc/${lab.victim.pid}/fd | grep -c hugemend`, 60_000);
  assert.equal(left.stdout.trim(), "0", "descriptors that a dead guard has left");
}
