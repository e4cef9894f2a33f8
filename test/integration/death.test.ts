/** The guard may die at any point of the walk: the process runs on, no byte is wrong, and the next guard takes over. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { guardSteps } from "../../src/guard/guard-context.js";
import { populatedSpareSteps } from "../../src/recovery/populated-spare.js";
import { populatedSwapSteps } from "../../src/recovery/populated-swap.js";
import { swapSteps } from "../../src/recovery/swap.js";
import { GuardProcess } from "../framework/guard-process.js";
import { ObligingMonitor } from "../framework/obliging-monitor.js";
import {
  assertUntouched,
  overlaysIn,
  untilMasksAre,
  untilNothingLeft,
  untilUntraced,
} from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";
import type { DriverInput } from "./drivers/driver-options.js";

const LOST = 4096;
const PAGES = 4;
/** Reached only when the VM is paused for the recovery. */
const whilePaused: ReadonlySet<string> = new Set(["paused"]);
/** Reached while the guard gets ready, before there is an error. */
const early: ReadonlySet<string> = new Set(populatedSpareSteps);
/** Both ways to replace a large page: with a spare, and with what is made at the error. */
const swaps = [
  ...populatedSwapSteps.map((step) => ({ step, withoutPopulated: false })),
  ...swapSteps.map((step) => ({ step, withoutPopulated: true })),
];
const walks = [...populatedSpareSteps, ...guardSteps].map((step) => ({ step, withoutPopulated: false }));

function named({ step, withoutPopulated }: { step: string; withoutPopulated: boolean }): string {
  return withoutPopulated ? `"${step}", without a spare` : `"${step}"`;
}

/** Steps after which the replacement is in place. */
function isSwapped(step: string): boolean {
  return ["swapped", "overlay-closed", "released", "outcome-recorded"].includes(step);
}

describe("a guard that is killed with -9", () => {
  for (const { step, withoutPopulated } of [...walks, ...swaps]) {
    it(`at ${named({ step, withoutPopulated })}`, async () => {
      await using ram = await RamVictim.start(PAGES);
      using folder = new TemporaryFolder();
      const path = join(folder.path, "qmp");
      await using monitor = await ObligingMonitor.start(path, ram.start, PAGES * LARGE_PAGE);
      const quiesce: Partial<DriverInput> = { qmp: monitor.path, quiesce: "always" };
      const ledger = join(folder.path, "ledger");
      const input = {
        pid: ram.pid,
        ledger,
        lost: [LOST],
        withoutPopulated,
        ...(whilePaused.has(step) && quiesce),
      };
      await ram.victim.ask("hammer 3");
      {
        await using guard = GuardProcess.launch({ ...input, killAt: step });
        if (!early.has(step)) {
          await guard.waitFor("ready");
          await ram.poison(1);
        }
        await guard.diesAtStep();
      }
      if (early.has(step)) await ram.poison(1);
      await untilUntraced(ram.pid);
      await untilMasksAre(ram.pid, () => 0n);
      assert.equal(overlaysIn(ram.pid), isSwapped(step) ? 1 : 0);
      assert.equal(monitor.running, !whilePaused.has(step));
      await ram.check(0);
      // Until somebody guards it again, the page is lost as it is without us: whole, or only where it must be.
      if (isSwapped(step)) await ram.check(1, 1);

      await using heir = await GuardProcess.start(input);
      if (!isSwapped(step)) {
        assert.equal((await heir.waitFor("recovered")).hva, `0x${ram.at(1).toString(16)}`);
      }
      await waitUntil("the VM runs", () => monitor.running);
      await ram.poison(2);
      await heir.waitFor("recovered", isSwapped(step) ? 1 : 2);
      await ram.checkAll({ 1: 1, 2: 1 });
      await untilNothingLeft(ram.pid, withoutPopulated ? 0 : 1);
      assert.equal(overlaysIn(ram.pid), 2);
      assert.equal(await ram.victim.ask("handler"), "handler caught");
      const { reads = 0, corrupt } = await ram.victim.counts("calm");
      assert.ok(reads > 0);
      assert.equal(corrupt, 0);
      await heir.stop();
      await assertUntouched(ram.pid);
      assert.deepEqual(await ram.victim.quit(), { code: 0, signal: null });
    });
  }

  it("at random moments, again and again", async (test) => {
    await using ram = await RamVictim.start(4);
    using ledger = new TemporaryFolder();
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST] };
    await ram.victim.ask("hammer 2");
    let swapped = 0;
    for (let round = 0; round < 10; round++) {
      await using guard = await GuardProcess.start(input);
      await ram.poison(round % 4);
      await sleep(Math.random() * 25);
      await guard.murder();
      await untilUntraced(ram.pid);
      swapped += overlaysIn(ram.pid);
      await ram.victim.ask(`remap ${round % 4}`);
    }
    const { reads = 0, corrupt } = await ram.victim.counts("calm");
    test.diagnostic(`${reads} reads; ${swapped} of 10 guards had swapped when they died`);
    assert.equal(corrupt, 0);
    await using last = await GuardProcess.start(input);
    await untilNothingLeft(ram.pid, 1);
    await last.stop();
    await ram.checkAll();
    await assertUntouched(ram.pid);
  });
});

describe("a process that is killed", () => {
  const before = ["stopped", "planned"].map((step) => ({ step, withoutPopulated: false }));
  for (const { step, withoutPopulated } of [...before, ...swaps]) {
    it(`at ${named({ step, withoutPopulated })} leaves a guard that ends well`, async () => {
      await using ram = await RamVictim.start(2);
      using ledger = new TemporaryFolder();
      const signals = [{ step, signal: 9 }];
      await using guard = await GuardProcess.start({
        pid: ram.pid,
        ledger: ledger.path,
        lost: [LOST],
        withoutPopulated,
        signals,
      });
      await ram.poison(1);
      ram.victim.child.write("touch 1 0");
      assert.deepEqual(await ram.victim.child.end(), { code: null, signal: "SIGKILL" });
      assert.deepEqual(await guard.child.end(), { code: 0, signal: null }, guard.child.errors.all.join("\n"));
      assert.equal(guard.all("detached")[0]?.reason, "the process ended");
    });
  }
});

describe("threads that hammer pages from all processors while these are replaced", () => {
  it("never read a wrong byte in five million reads", async (test) => {
    const wanted = 5_000_000;
    await using ram = await RamVictim.start(8);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: [LOST] });
    await ram.victim.ask("hammer 4");
    let swaps = 0;
    let soFar = 0;
    while (soFar < wanted) {
      const page = swaps % 8;
      await ram.poison(page);
      swaps += 1;
      await guard.waitFor("recovered", swaps);
      soFar = (await ram.victim.counts("reads"))["reads"] ?? 0;
      if (soFar < wanted && swaps >= 8) await ram.victim.ask(`remap ${swaps % 8}`);
    }
    const { reads = 0, corrupt } = await ram.victim.counts("calm");
    test.diagnostic(`${reads} reads during ${swaps} swaps`);
    assert.ok(reads >= wanted);
    assert.equal(corrupt, 0);
    assert.ok(swaps >= 8, `${swaps} swaps`);
    assert.equal(guard.all("refused").length, 0);
    await guard.stop();
    await assertUntouched(ram.pid);
  });

  it("touch a page that another has just had replaced, and go on", async () => {
    await using ram = await RamVictim.start(1);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: [LOST] });
    for (let round = 1; round <= 12; round++) {
      // One page, many threads: almost all of them stop at it at the same time.
      await ram.victim.ask("hammer 12");
      await ram.poison(0);
      await guard.waitFor("recovered", round);
      // Ends every thread, so each was let go; a signal from before must not meet the page that is put back now.
      assert.equal((await ram.victim.counts("calm"))["corrupt"], 0);
      await ram.check(0, 1);
      await ram.victim.ask("remap 0");
    }
    assert.equal(guard.all("refused").length, 0);
    await guard.stop();
  });
});
