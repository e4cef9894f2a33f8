import assert from "node:assert/strict";
import { lazySteps } from "../../src/guard/guard-context.js";
import { lazySwapSteps } from "../../src/recovery/lazy-swap.js";
import { describe, expectAlive, expectMachineChecks, expectOnlyLost } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** Of a large page of 2 MiB that has lost something no range is joined: that step is walked natively, in test/integration/lazy-death-gig.test.ts. */
const steps = [...lazySwapSteps, ...lazySteps].filter((step) => step !== "range-joined");
/** Until then the large page is in place: whoever reads it while there is no guard loses it as without one. */
const before: ReadonlySet<string> = new Set(lazySwapSteps.slice(0, lazySwapSteps.indexOf("moving")));
/** Reached only when nothing is missing any more. */
const full: ReadonlySet<string> = new Set(lazySteps.filter((step) => step !== "fill-begun"));

/** The guard is killed with -9 at one step of a lazy recovery after another, and the guest reads all of its memory meanwhile. */
export const crashLazily: Scenario = {
  name: "crash-lazily",
  onlyInAll: true,
  summary: `the guard dies at ${steps.length} steps of a lazy recovery, the guest reads what is missing and waits: the next one finishes each time`,
  victim: usualVictim,
  async run(lab) {
    const large = await lab.victim.ownLargePages(steps.length);
    const bad: number[] = [];
    for (const [number, step] of steps.entries()) {
      bad.push((large[number]?.gpa ?? 0) + (7 + number) * 4096);
      await dieAndTakeOver(lab, step, bad);
    }
    const last = await lab.victim.checker.check();
    expectOnlyLost(last, bad);
    await expectMachineChecks(lab, bad);
    return `${describe(last)}; killed at ${steps.join(", ")}`;
  },
};

/** @param bad all that are bad by then: the last one is new */
async function dieAndTakeOver(lab: LabSession, step: string, bad: readonly number[]): Promise<void> {
  const { checker } = lab.victim;
  const options = ["--fill", "lazy", ...(full.has(step) ? [] : ["--fill-rate", "0"])];
  const doomed = await lab.doomedGuard(step, options);
  await lab.victim.poison(bad.slice(-1));
  assert.equal((await doomed.ended(120_000)).code, 137, `end of the guard at ${step}`);
  const reading = before.has(step) ? undefined : checker.check();

  const heir = await lab.guard(["--fill", "lazy"]);
  if (before.has(step)) {
    const [recovered] = await heir.waitForCount("recovered", 1);
    assert.equal(recovered?.["fill"], "lazy", `recovered after ${step}`);
  }
  expectOnlyLost(await (reading ?? checker.check()), bad);
  await expectAlive(lab);
  heir.kill(15);
  assert.equal((await heir.ended()).code, 0, `end of the next guard after ${step}`);
  assert.deepEqual(heir.all("refused"), [], `refusals after ${step}`);
  const left = await lab.host.agent.run(
    `ls -l /proc/${lab.victim.pid}/fd | grep -c -e hugemend -e userfaultfd`,
    60_000,
  );
  assert.equal(left.stdout.trim(), "0", `descriptors that are left after ${step}`);
}
