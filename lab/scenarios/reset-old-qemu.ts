/** QEMU that ends at a reset once it knows of a lost page, and how a guard keeps it from knowing (decision 0023). */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { handOverSteps } from "../../src/guard/guard-context.js";
import { describe, expectAlive, expectOnlyLost, expectRecovered } from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import { oldQemuHost } from "../lab-host.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { hex } from "../victim.js";
import { filledMib, filledPages, usualVictim, type VictimConfig, victimPaths } from "../victim-config.js";

const patienceMs = 120_000;
/** A panic, its delay, and a boot. */
const rebootMs = 300_000;
const serialLog = "/run/victim-serial.log";

/**
 * Debian 12's QEMU. It cannot tell a guest on an AMD host of an error so that the guest survives (it knows nothing of SUCCOR, which came
 * with QEMU 9.1), guarded or not: the guest's kernel panics, says why on its serial port, and reboots.
 */
const panickingVictim: VictimConfig = {
  ...usualVictim,
  id: "debian-12-qemu",
  host: oldQemuHost,
  qemu: "debian-12",
  extra: `-action panic=none -serial file:${serialLog}`,
  guestArguments: "panic=2 earlyprintk=ttyS0,115200,keep",
};

const twoVcpuVictim: VictimConfig = { ...usualVictim, id: "two-vcpus", vcpus: 2 };

/** The fact it all rests on. */
export const reset72Stock: Scenario = {
  name: "reset-7.2-stock",
  onlyInAll: true,
  summary:
    "Debian 12's QEMU without a guard: one bad 4 KiB that nobody has touched, and QEMU ends at the guest's reboot",
  victim: panickingVictim,
  async run(lab) {
    const [large] = await lab.victim.ownLargePages(1);
    await lab.victim.poison([(large?.gpa ?? 0) + 256 * 4096]);
    const until = Date.now() + patienceMs;
    while (await lives(lab)) {
      assert.ok(Date.now() < until, "QEMU ends at the reboot after the panic");
      await sleep(500);
    }
    const { ao } = await lab.victim.injected();
    assert.equal(ao, 1, "QEMU told the guest");
    const last = await qemuLog(lab);
    assert.match(last, /Could not remap addr/);
    return last.trim().split("\n").at(-1) ?? "";
  },
};

/** The same with a guard. */
export const reset72: Scenario = {
  name: "reset-7.2",
  onlyInAll: true,
  summary:
    "Debian 12's QEMU, guarded: a lost page is touched and the guest reboots, twice; QEMU lives, and each large page is back",
  victim: panickingVictim,
  async run(lab) {
    const guard = await lab.guard();
    const bad: number[] = [];
    for (const [round, page] of [0, 256].entries()) {
      bad.push(await loseUntouched(lab, guard, round + 1, page));
      const rebooted = lab.victim.checker.watchReboot();
      // Touches the lost page: the guest gets its machine check, and panics.
      lab.victim.checker.check().catch(() => {});
      await rebooted(rebootMs);
      assert.deepEqual(
        await panicAddresses(lab),
        bad.map(hex),
        "the machine checks that the guest panicked at",
      );
      await guard.waitForCount("poison", round + 1);
      await guard.waitForCount("healed", round + 1);
      assert.equal(await lab.victim.checker.fill(filledMib), filledPages);
      const { ok, lost, corrupt } = await lab.victim.checker.check();
      assert.deepEqual(
        { ok, lost, corrupt },
        { ok: filledPages, lost: 0, corrupt: 0 },
        `after reboot ${round + 1}`,
      );
      assert.equal(await lives(lab), true, "QEMU lives");
    }
    assert.deepEqual(await lab.victim.injected(), { ar: 0, ao: 0 }, "signals that reached QEMU");
    assert.doesNotMatch(await qemuLog(lab), /remap/);
    assert.deepEqual(guard.all("warning"), []);
    guard.kill(15);
    assert.equal((await guard.ended()).code, 0, "end of the guard");
    return `2 reboots, 2 large pages back; machine checks at ${bad.map(hex).join(", ")}, none by signal`;
  },
};

/** Every page but the lost one is read. @returns the lost page */
async function loseUntouched(lab: LabSession, guard: LabGuard, round: number, page: number): Promise<number> {
  const [large] = await lab.victim.ownLargePages(1);
  const bad = (large?.gpa ?? 0) + page * 4096;
  await lab.victim.poison([bad]);
  const recovered = await guard.waitForCount("recovered", round);
  expectRecovered(recovered.slice(-1), [bad]);
  const result = await lab.victim.checker.check(1, patienceMs, (large?.index ?? 0) + page);
  const { lost, corrupt } = result;
  assert.deepEqual({ lost, corrupt }, { lost: 0, corrupt: 0 }, "pages beside the lost one");
  return bad;
}

/** What a QEMU that survives both ways can show: the guest outlives the machine check. */
export const lossByMonitor: Scenario = {
  name: "loss-by-monitor",
  onlyInAll: true,
  summary:
    "QEMU is ordered to tell the guest of two lost pages, two vCPUs read them: exactly these are lost, and QEMU has none on its list",
  victim: twoVcpuVictim,
  async run(lab) {
    const guard = await lab.orderingGuard();
    const large = await lab.victim.ownLargePages(2);
    const bad = large.map(({ gpa }, index) => gpa + (index === 0 ? 0 : 300) * 4096);
    await lab.victim.poison(bad);
    const result = await lab.victim.checker.check(2);
    expectOnlyLost(result, bad);
    expectRecovered(await guard.waitForCount("recovered", 2), bad);
    await guard.waitForCount("poison", 2);
    const log = await lab.victim.checker.machineCheckLog();
    const named = log.flatMap((line) => / ADDR ([0-9a-f]+)/.exec(line)?.[1] ?? []);
    assert.deepEqual(
      [...new Set(named)].sort(),
      bad.map((gpa) => gpa.toString(16)).sort(),
      "the guest's log",
    );
    assert.deepEqual(await lab.victim.injected(), { ar: 0, ao: 0 }, "signals that reached QEMU");
    await expectAlive(lab);
    return `${describe(result)}; the guest's log names these`;
  },
};

/** The guard dies while it hands a lost page over. */
export const lossByMonitorCrash: Scenario = {
  name: "loss-by-monitor-crash",
  onlyInAll: true,
  summary: `the guard dies at ${handOverSteps.length} steps of such an order: exactly the bad pages are lost, and the VM lives`,
  victim: usualVictim,
  async run(lab) {
    const large = await lab.victim.ownLargePages(handOverSteps.length);
    const bad: number[] = [];
    let told = "";
    for (const [number, step] of handOverSteps.entries()) {
      const doomed = await lab.orderingGuard(step);
      bad.push((large[number]?.gpa ?? 0) + (9 + number) * 4096);
      await lab.victim.poison(bad.slice(-1));
      await doomed.waitForCount("recovered", 1);
      const result = await lab.victim.checker.check();
      assert.equal((await doomed.ended()).code, 137, `end of the guard at ${step}`);
      expectOnlyLost(result, bad);
      await expectAlive(lab);
      told = describe(result);
    }
    return `${told}; killed at ${handOverSteps.join(", ")}`;
  },
};

async function lives(lab: LabSession): Promise<boolean> {
  return (await lab.host.agent.run(`kill -0 ${lab.victim.pid}`, patienceMs)).code === 0;
}

async function qemuLog(lab: LabSession): Promise<string> {
  return (await lab.host.agent.run(`cat ${victimPaths.qemuLog}`, patienceMs)).stdout;
}

/** What the guest's kernel said of its machine checks, each once: its next boot finds the last one in the bank, and says so again. */
async function panicAddresses(lab: LabSession): Promise<string[]> {
  const { stdout } = await lab.host.agent.run(`cat ${serialLog}`, patienceMs);
  const said = stdout.matchAll(/\[Hardware Error\]: TSC [0-9a-f]+ ADDR ([0-9a-f]+)/g);
  return [...new Set([...said].map(([, address = ""]) => `0x${address}`))];
}
