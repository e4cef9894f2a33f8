import assert from "node:assert/strict";
import { expectAlive, expectOnlyLost } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { filledMib, filledPages, usualVictim } from "../victim-config.js";
import { expectWhole, overlays } from "./pause-and-reset.js";

/** Long: nothing of the guest runs while guards are started beside it. */
const rebootMs = 400_000;
/** A sample: all of them are walked natively, in test/integration/heal-death.test.ts. */
const steps = ["reset-seen", "hole-punched", "heal-copied", "heal-swapped"] as const;
/** The guard is killed with -9 while it puts a large page back, or is dead when the guest is reset. */
export const crashAtReset: Scenario = {
  name: "crash-at-reset",
  onlyInAll: true,
  summary: `the guard dies at ${steps.length} steps of putting a large page back, and once before the reset: the next one finishes`,
  victim: usualVictim,
  async run(lab) {
    for (const step of [...steps, "dead before"]) await dieAndTakeOver(lab, step);
    return `killed at ${steps.join(", ")}, and before the reset: the large page came back each time`;
  },
};

async function dieAndTakeOver(lab: LabSession, step: string): Promise<void> {
  const { checker, qmp } = lab.victim;
  const doomed = await lab.doomedGuard(step);
  const [large] = await lab.victim.ownLargePages(1);
  const bad = [(large?.gpa ?? 0) + 300 * 4096];
  await lab.victim.poison(bad);
  await doomed.waitForCount("recovered", 1);
  expectOnlyLost(await checker.check(), bad);
  const early = step === "dead before";
  if (early) doomed.kill(9);
  const rebooted = checker.watchReboot();
  if (early) await doomed.ended();
  await qmp.execute("system_reset");
  assert.equal((await doomed.ended()).code, 137, `end of the guard at ${step}`);
  if (early) await rebooted(rebootMs);
  else if (step !== "reset-seen") assert.notEqual(await qmp.status(), "running", `the VM after ${step}`);

  const heir = await lab.guard();
  await heir.waitForCount("healed", 1);
  if (!early) await rebooted(rebootMs);
  assert.equal(await overlays(lab), 0, `replaced large pages after ${step}`);
  assert.equal(await checker.fill(filledMib), filledPages);
  await expectWhole(lab, `after ${step}`);
  // A guard that is killed leaves the spare it had ready.
  const warnings = heir.all("warning").filter(({ code }) => code !== "HM_TAKEOVER_CLEANED");
  assert.deepEqual(warnings, [], `warnings after ${step}`);
  assert.equal(await qmp.status(), "running", `the VM under the next guard, after ${step}`);
  await expectAlive(lab);
  heir.kill(15);
  assert.equal((await heir.ended()).code, 0, "end of the next guard");
}
