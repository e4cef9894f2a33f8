/**
 * The guard may die at any point of a lazy recovery: whoever needs a page that is missing waits, nobody reads a zero that was data, and the
 * next guard goes on.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { lazySteps } from "../../src/guard/guard-context.js";
import { lazySwapSteps } from "../../src/recovery/lazy-swap.js";
import { spareSteps } from "../../src/recovery/spare.js";
import { GuardProcess } from "../framework/guard-process.js";
import { withHugePages } from "../framework/huge-pages.js";
import { leaveFill } from "../framework/left-fill.js";
import { assertUntouched, joinedBytes, overlaysIn, untilUntraced } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { SilentSocket } from "../framework/silent-socket.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import type { DriverInput } from "./drivers/driver-options.js";

const LOST = 4096;
const PAGES = 4;
/** Reached while the guard gets ready, before there is an error. */
const early: ReadonlySet<string> = new Set(spareSteps);
/** Reached only when the replacement is full, and nobody watches it any more. */
const late: ReadonlySet<string> = new Set([
  "fill-unwatched",
  "range-joined",
  "fill-full",
  "fill-recorded",
  "fill-closed",
]);
/** Those after which the next guard looks at the joins: nothing is lost there, for a range with a lost page is left alone. */
const joining: ReadonlySet<string> = new Set([
  "fill-unwatched",
  "range-joined",
  "fill-full",
  "fill-recorded",
]);
const steps = [...spareSteps, ...lazySwapSteps, ...lazySteps, "released", "outcome-recorded"];

describe("a guard that fills lazily and is killed with -9", () => {
  for (const step of steps) {
    it(`at "${step}"`, async () => {
      await using ram = await RamVictim.start(PAGES);
      using ledger = new TemporaryFolder();
      const lost = joining.has(step) ? [] : [LOST];
      const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost, fill: "lazy" };
      await ram.victim.ask("scribble 1");
      await ram.victim.ask("hammer 3");
      {
        // Only what is touched is filled, so that a death in the middle finds most of it missing.
        const fillRate = late.has(step) ? {} : { fillRate: 0 };
        await using guard = GuardProcess.launch({ ...input, ...fillRate, killAt: step });
        if (!early.has(step)) {
          await guard.waitFor("ready");
          await ram.poison(1);
        }
        await guard.diesAtStep();
      }
      await untilUntraced(ram.pid);
      if (early.has(step)) await ram.poison(1);

      await using heir = await GuardProcess.start(input);
      await ram.checkAll({ 1: lost.length });
      await ram.poison(2);
      await ram.checkAll({ 1: lost.length, 2: lost.length });
      assert.equal(overlaysIn(ram.pid), 2);
      const { reads = 0, writes = 0, corrupt } = await ram.victim.counts("calm");
      assert.ok(reads > 0 && writes > 0);
      assert.equal(corrupt, 0);
      assert.deepEqual(heir.all("refused"), []);
      await heir.stop();
      await ram.checkAll({ 1: lost.length, 2: lost.length });
      if (joining.has(step)) {
        assert.deepEqual(
          heir.all("filled").map(({ large }) => large),
          Array.from({ length: 2 }, () => ({ ranges: 1, collapsed: 1 })),
        );
        assert.equal(joinedBytes(ram.pid, ram.at(1), LARGE_PAGE), LARGE_PAGE);
      }
      await assertUntouched(ram.pid);
      assert.deepEqual(await ram.victim.quit(), { code: 0, signal: null });
    });
  }

  it("before it has joined anything, where the host does not want large pages any more: its heir leaves them small", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, fill: "lazy" };
    {
      await using guard = await GuardProcess.start({ ...input, killAt: "fill-unwatched" });
      await ram.poison(1);
      assert.equal(await ram.touch(1), "ok");
      await guard.diesAtStep();
    }
    await untilUntraced(ram.pid);
    await withHugePages("never", async () => {
      await using heir = await GuardProcess.start(input);
      assert.deepEqual((await heir.waitFor("filled")).large, { ranges: 0, collapsed: 0 });
      assert.equal(joinedBytes(ram.pid, ram.at(1), LARGE_PAGE), 0);
      await heir.stop();
    });
    await ram.checkAll();
    await assertUntouched(ram.pid);
  });

  it("when it has found more bad than the ledger knows of: its heir says so, and forgives that as little as what has gone bad since", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" };
    await leaveFill(ram, input);
    {
      const worse = { ...input, lost: [LOST, 2 * LOST], killAt: "fill-unwatched" };
      await using guard = GuardProcess.launch(worse);
      await guard.diesAtStep();
    }
    await untilUntraced(ram.pid);
    await using heir = await GuardProcess.start(input);
    const { lost } = await heir.waitFor("filled");
    assert.deepEqual(
      lost.map(({ bytes }) => bytes),
      [4096],
    );
    assert.ok(heir.all("warning").some(({ code }) => code === "HM_LOST_SINCE"));
    await ram.check(1, 2);
    await heir.stop();
  });

  it("and whose heir gets no word from QEMU's monitor: the pages come all the same", async () => {
    await using ram = await RamVictim.start(PAGES);
    await using silent = await SilentSocket.listen();
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" };
    await leaveFill(ram, input);
    await using heir = GuardProcess.launch({ ...input, qmp: silent.path });
    // Long before the heir gives up on the monitor; whatever is left when it does is filled then.
    assert.equal(await ram.touch(1, 1_048_576), "ok");
    assert.deepEqual(heir.all("ready"), []);
    assert.notEqual((await heir.child.end()).code, 0);
    await ram.checkAll({ 1: 1 });
    await using last = await GuardProcess.start(input);
    await ram.checkAll({ 1: 1 });
    await last.stop();
    await assertUntouched(ram.pid);
  });

  it("while a part of the replacement is gone: the next one fills the rest", async () => {
    await using ram = await RamVictim.start(PAGES);
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" };
    {
      await using guard = await GuardProcess.start({ ...input, fillRate: 0 });
      await ram.poison(1);
      assert.equal(await ram.touch(1, 65536), "ok");
      assert.equal(await ram.victim.ask("hole 1 12288"), "hole done");
      await guard.murder();
    }
    await untilUntraced(ram.pid);
    await using heir = await GuardProcess.start(input);
    for (const offset of [0, 8192, 16384, 1_048_576])
      assert.equal(await ram.touch(1, offset), "ok", `at ${offset}`);
    await heir.stop();
    for (const offset of [8192, 16384, 1_052_672]) assert.equal(await ram.touch(1, offset), "ok");
  });

  it("at random moments, again and again, while a page is filled slowly", async (test) => {
    await using ram = await RamVictim.start(PAGES);
    using ledger = new TemporaryFolder();
    const input: DriverInput = {
      pid: ram.pid,
      ledger: ledger.path,
      lost: [LOST],
      fill: "lazy",
      fillRate: 20,
    };
    await ram.victim.ask("hammer 2");
    let placed = 0;
    for (let round = 0; round < 10; round++) {
      await using guard = await GuardProcess.start(input);
      if (overlaysIn(ram.pid) === 0) await ram.poison(1);
      await sleep(Math.random() * 150);
      await guard.murder();
      await untilUntraced(ram.pid);
      placed += overlaysIn(ram.pid);
    }
    await using last = await GuardProcess.start({ ...input, fillRate: 1000 });
    await ram.checkAll({ 1: 1 });
    const { reads = 0, corrupt } = await ram.victim.counts("calm");
    test.diagnostic(`${reads} reads; the replacement was in place at ${placed} of 10 deaths`);
    assert.equal(corrupt, 0);
    await last.stop();
    await ram.checkAll({ 1: 1 });
    await assertUntouched(ram.pid);
  });
});
