/** Threads that are borrowed for remote system calls get back exactly what they had, also when the borrower dies. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "../framework/child.js";
import { driverPath } from "../framework/driver-path.js";
import { assertUntouched, signalMasks, untilMasksAre } from "../framework/process-state.js";
import { Victim } from "../framework/victim.js";

function startDriver(pid: number, rounds?: number): Child {
  return Child.start(process.execPath, [driverPath("remote-driver"), JSON.stringify({ pid, rounds })]);
}

/** @throws AssertionError unless the driver found nothing wrong */
async function borrowAll(pid: number, rounds: number): Promise<void> {
  await using driver = startDriver(pid, rounds);
  const end = await driver.end();
  assert.deepEqual(end, { code: 0, signal: null }, driver.errors.all.slice(0, 30).join("\n"));
  assert.equal(driver.output.all.length, rounds + 1, driver.output.all.join("\n"));
}

/** Ends a driver with SIGKILL at random moments of its work. */
async function borrowAndDie(pid: number, deaths: number, afterEach: () => Promise<void>): Promise<void> {
  for (let death = 0; death < deaths; death++) {
    await using driver = startDriver(pid);
    // From the attachment on, at any time within some rounds.
    await driver.output.next();
    await sleep(Math.random() * 60);
    assert.ok(driver.alive, driver.errors.all.slice(0, 30).join("\n"));
    driver.kill("SIGKILL");
    await driver.end();
    await assertUntouched(pid);
    await afterEach();
  }
}

/**
 * These give EINTR on any interruption that has no handler, as after SIGSTOP and SIGCONT or under any debugger (signal(7),
 * "Interruption of system calls and library functions by stop signals").
 */
const interruptible = new Set(["epoll", "signal-wait"]);
/** Restarted from a block that the kernel forgets when a signal frame is restored (kernel/signal.c restore_altstack, do_no_restart_syscall). */
const restartBlock = new Set(["poll", "poll-forever", "futex-timed", "nanosleep", "clock-nanosleep"]);

function outcomes(line: string): Map<string, string> {
  return new Map(
    [...line.matchAll(/([a-z-]+)=(\S+)/g)].map(([, name, outcome]) => [name ?? "", outcome ?? ""]),
  );
}

/** What each wait gives when it comes out for the right reason. */
const right: Readonly<Record<string, string>> = {
  poll: "1/0",
  "poll-forever": "1/0",
  ppoll: "1/0",
  select: "1/0",
  futex: "0/0",
  "futex-timed": "0/0",
  nanosleep: "0/0",
  "clock-nanosleep": "0/0",
  read: "1/0",
  receive: "1/0",
  "wait-child": "1/0",
  pause: "-1/4",
  suspend: "-1/4",
  "signal-wait": "10/0",
  epoll: "1/0",
};

/** @param forgiven waits that may have been interrupted */
function assertRight(line: string, forgiven: ReadonlySet<string>): void {
  for (const [name, outcome] of outcomes(line)) {
    const interrupted = forgiven.has(name) && /^(short:)?-1\/4$|^(short:)?4\/0$/.test(outcome);
    if (!interrupted) assert.equal(outcome, right[name], `${name} in ${line}`);
  }
  assert.equal(outcomes(line).size, Object.keys(right).length);
}

describe("remote system calls", () => {
  it("leave registers, vector state and signal mask as they were", async () => {
    await using victim = await Victim.start("registers", [3]);
    await borrowAll(victim.pid, 40);
    const { done, wrong } = await victim.counts("sums");
    assert.ok(done !== undefined && done > 0);
    assert.equal(wrong, 0);
    await assertUntouched(victim.pid);
  });

  it("leave threads that wait in the kernel waiting, for the right time", async () => {
    const seconds = 4;
    await using victim = await Victim.start("waits", [seconds]);
    await borrowAll(victim.pid, 6);
    const report = outcomes(await victim.ask("report"));
    for (const [name, outcome] of report) {
      const ended = name.endsWith("nanosleep") && outcome === "0/0"; // it may have taken that long
      const interrupted = interruptible.has(name) && outcome === "-1/4";
      if (!ended && !interrupted) assert.equal(outcome, "waiting", name);
    }
    assertRight(await victim.ask("finish"), interruptible);
    await assertUntouched(victim.pid);
    assert.deepEqual(await victim.quit(), { code: 0, signal: null });
  });

  it("leave registers right when the borrower is killed at any time", async (test) => {
    await using victim = await Victim.start("registers", [3]);
    const before = (await victim.counts("sums"))["done"] ?? 0;
    await borrowAndDie(victim.pid, 15, async () => {
      assert.equal((await victim.counts("sums"))["wrong"], 0);
      await untilMasksAre(victim.pid, () => 0n);
    });
    const { done = 0, wrong } = await victim.counts("sums");
    test.diagnostic(`${done - before} sums`);
    assert.ok(done > before);
    assert.equal(wrong, 0);
  });

  it("leave waiting threads waiting, or with EINTR, when the borrower is killed at any time", async () => {
    await using victim = await Victim.start("waits", [6]);
    const masks = signalMasks(victim.pid);
    // A thread that has come out and ended is not there any more; none is new.
    await borrowAndDie(victim.pid, 12, () => untilMasksAre(victim.pid, (tid) => masks.get(tid) ?? -1n));
    assertRight(await victim.ask("finish"), new Set([...interruptible, ...restartBlock]));
    assert.deepEqual(await victim.quit(), { code: 0, signal: null });
  });

  it("end quietly when the process is killed in the middle", async () => {
    for (let round = 0; round < 6; round++) {
      await using victim = await Victim.start("registers", [2]);
      await using driver = startDriver(victim.pid);
      await driver.output.next();
      await sleep(Math.random() * 40);
      victim.child.kill("SIGKILL");
      assert.deepEqual(await victim.child.end(), { code: null, signal: "SIGKILL" });
      const { code, signal } = await driver.end();
      // The driver may say that its thread is gone; it must not hang, and must not crash the engine.
      assert.equal(signal, null);
      assert.ok(code === 0 || /HM_TRACEE_GONE|HM_TRACEE_STUCK|ESRCH/.test(driver.errors.all.join("\n")));
    }
  });
});
