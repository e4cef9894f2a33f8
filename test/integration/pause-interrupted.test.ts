/** Others may resume or stop the VM in the middle of the guard's pause, at the worst moment: nothing is replaced while it runs. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardProcess } from "../framework/guard-process.js";
import { ObligingMonitor } from "../framework/obliging-monitor.js";
import { assertUntouched, overlaysIn } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

/** The guard neither hears nor sees for this long, right after it was told that the VM stands. */
const BLOCKED_MS = 300;

interface Rig extends AsyncDisposable {
  readonly ram: RamVictim;
  readonly monitor: ObligingMonitor;
  readonly guard: GuardProcess;
  /** How often the guard has stopped the VM. */
  stops(): number;
}

/** @param interfere what the operator does while the guard is blocked, after which of the guard's stops */
async function rig(interfere: (monitor: ObligingMonitor, stop: number) => void): Promise<Rig> {
  const folder = new TemporaryFolder();
  const ram = await RamVictim.start(2);
  const monitor = await ObligingMonitor.start(join(folder.path, "qmp"), ram.start, 2 * LARGE_PAGE);
  let stops = 0;
  monitor.onStop = () => {
    const stop = ++stops;
    setTimeout(() => interfere(monitor, stop), BLOCKED_MS / 3);
  };
  const guard = await GuardProcess.start({
    ...{ pid: ram.pid, ledger: join(folder.path, "ledger"), qmp: monitor.path, quiesce: "always" },
    lost: [4096],
    blockAt: { step: "paused", ms: BLOCKED_MS },
  });
  await ram.poison(1);
  return {
    ram,
    monitor,
    guard,
    stops: () => stops,
    async [Symbol.asyncDispose]() {
      await guard[Symbol.asyncDispose]();
      await monitor[Symbol.asyncDispose]();
      await ram[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

test("a cont in the middle of the pause: the VM is paused once more, and then recovered", async () => {
  await using r = await rig((monitor, stop) => stop === 1 && monitor.operator("cont"));
  assert.match(await r.ram.victim.ask("born 1 0"), /^touch ok/);
  assert.equal((await r.guard.waitFor("recovered")).quiesced, true);
  assert.equal(r.stops(), 2);
  assert.deepEqual(r.guard.all("refused"), []);
  assert.ok(r.monitor.running, "the VM runs");
  await r.ram.checkAll({ 1: 1 });
  await r.guard.stop();
  await assertUntouched(r.ram.pid);
});

test("a cont and a stop in the middle of the pause: recovered, and the VM stays paused", async () => {
  await using r = await rig((monitor, stop) => {
    if (stop > 1) return;
    monitor.operator("cont");
    monitor.operator("stop");
  });
  assert.match(await r.ram.victim.ask("born 1 0"), /^touch ok/);
  await r.guard.waitFor("recovered");
  assert.equal(r.stops(), 1, "a VM that stands already is not stopped");
  assert.equal(r.monitor.running, false);
  await r.ram.checkAll({ 1: 1 });
  await r.guard.stop();
  assert.equal(r.monitor.running, false, "the VM is the operator's");
  await assertUntouched(r.ram.pid);
});

test("a cont in the middle of each pause: refused, and nothing is replaced", async () => {
  await using r = await rig((monitor) => monitor.operator("cont"));
  assert.match(await r.ram.victim.ask("born 1 0"), /^touch lost/);
  const refused = await r.guard.waitFor("refused");
  assert.equal(refused.code, "HM_PAUSE_LOST");
  assert.equal(r.stops(), 3);
  assert.equal(overlaysIn(r.ram.pid), 0);
  await sleep(2 * BLOCKED_MS);
  assert.ok(r.monitor.running, "the VM runs");
  await r.guard.stop();
  await assertUntouched(r.ram.pid);
});
