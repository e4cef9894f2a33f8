/** What a guard that was killed in the middle of a lazy fill leaves, where the usual way to go on with it does not lead on. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { EarlyFills } from "../../src/guard/lazy/early-fills.js";
import { readTasks } from "../../src/linux/procfs/tasks.js";
import { GuardProcess } from "../framework/guard-process.js";
import { leaveFill } from "../framework/left-fill.js";
import { assertUntouched, untilUntraced } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";
import type { DriverInput } from "./drivers/driver-options.js";

const LOST = 4096;
const HAMMERS = 4;

/** Threads that wait for a page right now (fs/userfaultfd.c handle_userfault). */
function waitingFor(pid: number): number[] {
  return readTasks(pid).filter((tid) => {
    try {
      return readFileSync(`/proc/${pid}/task/${tid}/wchan`, "latin1") === "handle_userfault";
    } catch {
      return false;
    }
  });
}

describe("a lazy replacement whose guard was killed", () => {
  it("is filled from what the VM maps of its RAM elsewhere, if it has closed its descriptor", async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" };
    await leaveFill(ram, input);
    assert.equal(await ram.victim.ask("forget"), "forget done");
    await using heir = await GuardProcess.start(input);
    const { lost } = await heir.waitFor("filled");
    assert.equal(lost.length, 1);
    const codes = heir.all("warning").map(({ code }) => code);
    assert.deepEqual(codes.sort(), ["HM_QMP_NONE", "HM_TAKEOVER_CLEANED"]);
    await ram.checkAll({ 1: 1 });
    await heir.stop();
    await assertUntouched(ram.pid);
  });

  it("is served by whoever only gets ready to be its guard, however often: no fault is taken and forgotten", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" };
    await ram.victim.ask(`hammer ${HAMMERS}`);
    {
      await using guard = await GuardProcess.start({ ...input, fillRate: 0, killAt: "moved" });
      await ram.poison(1);
      await guard.diesAtStep();
    }
    await untilUntraced(ram.pid);
    await waitUntil("all threads wait", () => waitingFor(ram.pid).length === HAMMERS);
    {
      using early = new EarlyFills(ram.pid, [LOST]);
      const last = new Map<number, number>();
      // A thread is served, and waits for its next page: one that waits each time was forgotten.
      for (let round = 1; round <= 2000; round += 1) {
        for (let i = 0; i < 20; i += 1) early.serve();
        for (const tid of readTasks(ram.pid)) if (!waitingFor(ram.pid).includes(tid)) last.set(tid, round);
      }
      const forgotten = readTasks(ram.pid).filter((tid) => (last.get(tid) ?? 0) < 1000);
      assert.deepEqual(forgotten, []);
    }
    await using heir = await GuardProcess.start(input);
    const { corrupt } = await ram.victim.counts("calm");
    assert.equal(corrupt, 0);
    await ram.checkAll({ 1: 1 });
    await heir.stop();
  });
});
