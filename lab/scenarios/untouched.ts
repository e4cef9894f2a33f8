import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { BusSignals } from "../bus-signals.js";
import {
  describe,
  expectAlive,
  expectGuestLost,
  expectMachineChecks,
  expectOnlyLost,
  expectRecovered,
  untilTold,
} from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

const secondChanceMs = 3000;

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
    const recovered = await guard.waitForCount("recovered", 1, 60_000);
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

/** A host without tracefs. */
export const aoKernelLog: Scenario = {
  name: "ao-kernel-log",
  summary:
    "without tracefs the guard reads the kernel log: an error nobody has touched is recovered all the same",
  victim: usualVictim,
  async run(lab) {
    const { agent } = lab.host;
    // tracefs is below debugfs as well; debugfs is needed again to poison.
    await agent.must("umount -l /sys/kernel/tracing && umount -l /sys/kernel/debug");
    const guard = await lab.guard();
    await agent.must("mount -t debugfs debug /sys/kernel/debug");
    assert.deepEqual(guard.all("warning"), [], "the kernel log is as good");
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 511 * 4096];
    // A program's own words in the log are none of the kernel's.
    await agent.must("echo 'Memory failure: 0x1: recovery action for huge page: Recovered' > /dev/kmsg");
    await lab.victim.poison(bad);
    const recovered = await guard.waitForCount("recovered", 1, 60_000);
    expectRecovered(recovered, bad);
    assert.equal(recovered[0]?.["trigger"], "AO", "what set the recovery off");
    return expectGuestLost(lab, bad);
  },
};

/** The operator has paused the VM. */
export const aoPaused: Scenario = {
  name: "ao-paused",
  summary:
    "an error while the operator holds the VM: recovered at once, and the guest is told of it once when it runs again",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    await lab.victim.checker.pollMachineChecks(1);
    const bad = await pauseAndPoison(lab, async () => {});
    await recoveredWhilePaused(lab, guard, bad);
    return resumeAndCheck(lab, bad);
  },
};

/** And the guard dies before the error. */
export const aoReplay: Scenario = {
  name: "ao-replay",
  summary:
    "the guard is killed, then an error while the operator holds the VM: the next guard finds it in the memory itself, before any touch",
  victim: usualVictim,
  async run(lab) {
    const first = await lab.guard();
    await lab.victim.checker.pollMachineChecks(1);
    const bad = await pauseAndPoison(lab, async () => {
      first.kill(9);
      assert.equal((await first.ended()).code, 137, "exit code of the killed guard");
    });
    const second = await lab.guard();
    await recoveredWhilePaused(lab, second, bad);
    const instances = await lab.host.agent.must("ls /sys/kernel/tracing/instances");
    assert.equal(
      instances.split("\n").filter((name) => name.startsWith("hugemend-")).length,
      1,
      `tracing instances: ${instances}`,
    );
    return resumeAndCheck(lab, bad);
  },
};

async function pauseAndPoison(lab: LabSession, between: () => Promise<void>): Promise<number[]> {
  const [large] = await lab.victim.ownLargePages(1);
  const bad = [(large?.gpa ?? 0) + 123 * 4096];
  await lab.victim.qmp.execute("stop");
  await between();
  await lab.victim.poison(bad);
  return bad;
}

async function recoveredWhilePaused(lab: LabSession, guard: LabGuard, bad: readonly number[]): Promise<void> {
  const recovered = await guard.waitForCount("recovered", 1, 60_000);
  expectRecovered(recovered, bad);
  assert.equal(recovered[0]?.["trigger"], "AO", "what set the recovery off");
  assert.equal(await lab.victim.qmp.status(), "paused", "state of the VM after the recovery");
}

/** Nobody has touched the page when the guest is told. */
async function resumeAndCheck(lab: LabSession, bad: readonly number[]): Promise<string> {
  const since = lab.victim.qmp.log.lines.length;
  await lab.victim.qmp.execute("cont");
  await lab.victim.qmp.event("RESUME", 60_000, since);
  await untilTold(lab, bad);
  // Long enough for a second one.
  await sleep(secondChanceMs);
  assert.deepEqual(await lab.victim.injected(), { ar: 0, ao: 1 }, "errors that QEMU passed on to the guest");
  const seen = await expectGuestLost(lab, bad);
  return `${seen}; told once, when it ran again`;
}
