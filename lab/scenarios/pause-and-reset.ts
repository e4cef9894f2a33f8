import assert from "node:assert/strict";
import { describe, expectAlive, expectMachineChecks, expectOnlyLost, expectRecovered } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import { poolOf } from "../large-page-pool.js";
import type { Scenario } from "../scenario.js";
import { filledMib, filledPages, usualVictim } from "../victim-config.js";

const rounds = 5;
const rebootMs = 120_000;

/** The guard pauses the whole VM for each recovery. */
export const quiesceAlways: Scenario = {
  name: "quiesce-always",
  summary:
    "the guard pauses the VM for each of two recoveries: it runs again, and has lost one page each time",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard(["--quiesce", "always"]);
    const owned = await lab.victim.ownLargePages(2);
    const bad = owned.map(({ gpa }, index) => gpa + (100 + index) * 4096);
    await lab.victim.poison(bad);
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    const recovered = await guard.waitForCount("recovered", 2);
    expectRecovered(recovered, bad);
    for (const event of recovered) assert.equal(event["quiesced"], true, "the VM was paused");
    await expectMachineChecks(lab, bad);
    assert.equal(await lab.victim.qmp.status(), "running", "state of the VM afterwards");
    await expectAlive(lab);
    return describe(result);
  },
};

/** Poison, reboot, and again; at last with an empty pool. */
export const reset10: Scenario = {
  name: "reset-10",
  summary:
    "five times poisoned and rebooted, the large page is back each time, and the pool has lost the bad one only; with an empty pool the small ones stay, whole",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const before = await poolOf(lab);
    for (let round = 1; round <= rounds; round += 1) {
      await poisonOne(lab, round);
      await guard.waitForCount("recovered", round);
      await reboot(lab);
      await guard.waitForCount("healed", round);
      assert.equal(await overlays(lab), 0, `replaced large pages after reboot ${round}`);
      await expectWhole(lab, `after reboot ${round}`);
      assert.deepEqual(
        await poolOf(lab),
        { ...before, free: before.free - round, corruptedKb: before.corruptedKb + 4 * round },
        `the pool after reboot ${round}`,
      );
    }
    await poisonOne(lab, rounds + 1);
    await guard.waitForCount("recovered", rounds + 1);
    await lab.host.agent.must("echo 0 > /proc/sys/vm/nr_hugepages", 60_000);
    await reboot(lab);
    await guard.waitFor("warning", 60_000, (event) => event["code"] === "HM_HEAL_POOL_EMPTY");
    assert.equal(await overlays(lab), 1, "replaced large pages with an empty pool");
    await expectWhole(lab, "with an empty pool");
    assert.equal(guard.all("healed").length, rounds);
    return `${rounds} large pages came back, one stayed small with nothing lost; each error has cost the pool one page`;
  },
};

/** Makes one 4 KiB bad and has the guest read everything: no more is lost. @param page which of the large page */
export async function poisonOne(lab: LabSession, page: number): Promise<void> {
  const [large] = await lab.victim.ownLargePages(1);
  const bad = [(large?.gpa ?? 0) + page * 4096];
  await lab.victim.poison(bad);
  expectOnlyLost(await lab.victim.checker.check(), bad);
}

/** Resets the guest and waits until it has filled its memory anew. @param command of QMP, with which it starts anew */
export async function reboot(lab: LabSession, command = "system_reset"): Promise<void> {
  const rebooted = lab.victim.checker.watchReboot();
  await lab.victim.qmp.execute(command);
  await rebooted(rebootMs);
  assert.equal(await lab.victim.checker.fill(filledMib), filledPages);
}

/** How many large pages small ones stand for: overlays by their names, and tags of spares that say for which page they are in place. */
export async function overlays(lab: LabSession): Promise<number> {
  const process = `/proc/${lab.victim.pid}`;
  const readTag = `dd if=${process}/mem bs=4096 skip=$((0x$start / 4096)) count=1 2>/dev/null`;
  const script =
    `grep -c memfd:hugemend: ${process}/maps; ` +
    `grep memfd:hugemend-spare ${process}/maps | while IFS=- read -r start rest; do ${readTag} | grep -ac '"page":{'; done`;
  const counted = await lab.host.agent.run(script, 60_000);
  return counted.stdout
    .trim()
    .split("\n")
    .reduce((sum, count) => sum + Number(count), 0);
}

/** The guest reads everything it has written, and nothing is lost. */
export async function expectWhole(lab: LabSession, when: string): Promise<void> {
  const { ok, lost, corrupt } = await lab.victim.checker.check();
  assert.deepEqual({ ok, lost, corrupt }, { ok: filledPages, lost: 0, corrupt: 0 }, when);
  await expectAlive(lab);
}
