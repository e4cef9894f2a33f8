/** Stopping and continuing a guarded process works as without a guard, and its parent is told the same. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileVictim } from "../compile-victim.js";
import { Child } from "../framework/child.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched, threadStatuses } from "../framework/process-state.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { Victim } from "../framework/victim.js";
import { waitUntil } from "../framework/wait-until.js";
import { acquire } from "../hugepages.js";

const number = { SIGSTOP: 19, SIGTSTP: 20, SIGCONT: 18 } as const;

/** A victim with four large pages whose parent tells what it is told. */
async function startJob(): Promise<{ victim: Victim; parent: Child }> {
  const parent = Child.start(compileVictim("job-parent"), [
    compileVictim("large-pages", "qemu-system-large-pages"),
    "4",
  ]);
  return { victim: await Victim.adopt(parent), parent };
}

/** A thread in group-stop shows as `T`, or as `t` when a tracer listens to it. */
async function untilStopped(pid: number): Promise<void> {
  await waitUntil(`process ${pid} is stopped`, () =>
    threadStatuses(pid).every(({ state }) => state === "T" || state === "t"),
  );
}

async function untilRunning(pid: number): Promise<void> {
  await waitUntil(`process ${pid} runs`, () =>
    threadStatuses(pid).every(({ state }) => state === "R" || state === "S" || state === "D"),
  );
}

/** No answer may come while the process is stopped; a command that was written meanwhile is answered afterwards. */
async function stopAndContinue(victim: Victim, parent: Child, signal: "SIGSTOP" | "SIGTSTP"): Promise<void> {
  process.kill(victim.pid, signal);
  assert.equal(await parent.errors.next(), `stopped ${number[signal]}`);
  await untilStopped(victim.pid);
  victim.child.write("check 0");
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(victim.child.output.unread, []);
  process.kill(victim.pid, "SIGCONT");
  assert.equal(await parent.errors.next(), "continued");
  assert.equal(await victim.child.output.next(), "check ok=512 lost=0 corrupt=0");
  await untilRunning(victim.pid);
}

describe("job control of a guarded process", () => {
  it("stops and continues as it does unguarded", async () => {
    await using _pages = await acquire(4);
    using ledger = new TemporaryFolder();
    const { victim, parent } = await startJob();
    await using _victim = victim;
    await victim.ask("hammer 3");
    await stopAndContinue(victim, parent, "SIGSTOP");
    await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
    for (let round = 0; round < 3; round++) {
      await stopAndContinue(victim, parent, "SIGSTOP");
      await stopAndContinue(victim, parent, "SIGTSTP");
    }
    await guard.stop();
    await stopAndContinue(victim, parent, "SIGTSTP");
    await assertUntouched(victim.pid);
    assert.equal((await victim.counts("calm"))["corrupt"], 0);
  });

  for (const way of ["stop", "murder"] as const) {
    it(`stays stopped when the guard ends (${way})`, async () => {
      await using _pages = await acquire(4);
      using ledger = new TemporaryFolder();
      const { victim, parent } = await startJob();
      await using _victim = victim;
      await victim.ask("hammer 2");
      await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
      process.kill(victim.pid, "SIGSTOP");
      assert.equal(await parent.errors.next(), "stopped 19");
      await untilStopped(victim.pid);
      await guard[way]();
      await waitUntil("stopped without a tracer", () =>
        threadStatuses(victim.pid).every(({ state, tracerPid }) => state === "T" && tracerPid === 0),
      );
      process.kill(victim.pid, "SIGCONT");
      await untilRunning(victim.pid);
      assert.equal((await victim.counts("calm"))["corrupt"], 0);
    });
  }

  it("stops when the stop comes in the middle of a recovery, and recovers", async () => {
    await using _pages = await acquire(4);
    for (const step of ["stopped", "planned", "salvaged", "lost-marked", "swapped"]) {
      using ledger = new TemporaryFolder();
      const { victim, parent } = await startJob();
      await using _victim = victim;
      const signals = [{ step, signal: number.SIGSTOP }];
      await using guard = await GuardProcess.start({
        pid: victim.pid,
        ledger: ledger.path,
        lost: [0],
        signals,
      });
      await victim.ask("poison 2");
      victim.child.write("touch 2 8192");
      await guard.waitFor("recovered");
      assert.equal(await parent.errors.next(), "stopped 19", step);
      await untilStopped(victim.pid);
      assert.deepEqual(victim.child.output.unread, [], step);
      process.kill(victim.pid, "SIGCONT");
      assert.equal(await parent.errors.next(), "continued", step);
      assert.match(await victim.child.output.next(), /^touch ok/);
      assert.equal(await victim.ask("check 2"), "check ok=511 lost=1 corrupt=0", step);
      await guard.stop();
      await assertUntouched(victim.pid);
    }
  });

  it("runs on when a stop and its end both come in the middle of a recovery", async () => {
    await using _pages = await acquire(4);
    for (const [first, second] of [
      ["planned", "lost-marked"],
      ["salvaged", "salvaged"],
      ["lost-marked", "swapped"],
    ] as const) {
      using ledger = new TemporaryFolder();
      const { victim } = await startJob();
      await using _victim = victim;
      const signals = [
        { step: first, signal: number.SIGSTOP },
        { step: second, signal: number.SIGCONT },
      ];
      await using guard = await GuardProcess.start({
        pid: victim.pid,
        ledger: ledger.path,
        lost: [0],
        signals,
      });
      await victim.ask("hammer 2");
      await victim.ask("poison 2");
      assert.match(await victim.ask("touch 2 8192"), /^touch ok/, `${first}, ${second}`);
      await guard.waitFor("recovered");
      await untilRunning(victim.pid);
      assert.equal((await victim.counts("calm"))["corrupt"], 0);
      await guard.stop();
      await assertUntouched(victim.pid);
    }
  });
});
