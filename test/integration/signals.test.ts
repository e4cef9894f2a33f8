/** Signals that are none of ours arrive as they were sent: each once, in the right thread, with the same siginfo. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { Victim } from "../framework/victim.js";
import { waitUntil } from "../framework/wait-until.js";

const SIGUSR1 = 10;
const SIGBUS = 7;

/** What the victim has sent itself, by its own command. */
const storms: readonly (readonly [what: string, command: string, count: number])[] = [
  ["plain signals", `storm ${SIGUSR1} 1500`, 1500],
  ["SIGBUS from kill(2)", `storm ${SIGBUS} 200`, 200],
  ["queued values", "queue 5000", 5000],
  ["values queued to each thread", "direct 400", 1600],
  ["a timer's expirations", "timer 100", 100],
  ["faults", "fault 500", 500],
];

describe("signals of a guarded process", () => {
  it("arrive unchanged, each as often as it was sent", async () => {
    using ledger = new TemporaryFolder();
    await using victim = await Victim.start("signals", [4]);
    await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
    for (const [what, command, count] of storms) {
      const { sent, got, wrong } = await victim.counts(command);
      assert.equal(sent, count, what);
      assert.equal(wrong, 0, what);
      // A timer that overruns counts what it missed, so it may have got more than was waited for.
      if (command.startsWith("timer")) assert.ok(got !== undefined && got >= count, what);
      else assert.equal(got, count, what);
    }
    assert.equal(await victim.ask("mask"), "mask changed=0");
    await guard.stop();
    await assertUntouched(victim.pid);
    assert.equal(await victim.ask("mask"), "mask changed=0");
    assert.deepEqual(await victim.quit(), { code: 0, signal: null });
  });

  it("arrive from outside, with the sender's id", async () => {
    using ledger = new TemporaryFolder();
    await using victim = await Victim.start("signals", [2]);
    await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
    await victim.ask(`from ${process.pid}`);
    for (let sent = 1; sent <= 40; sent++) {
      process.kill(victim.pid, "SIGUSR2");
      let got = 0;
      // The kernel merges a plain signal with one that is still pending: wait for each.
      for (let asked = 0; got < sent && asked < 1000; asked++) {
        ({ got = 0 } = await victim.counts("outside"));
      }
      assert.equal(got, sent);
    }
    assert.equal(await victim.ask("outside"), "outside got=40 wrong=0");
    await guard.stop();
  });

  it("that end the process end it", async () => {
    using ledger = new TemporaryFolder();
    await using victim = await Victim.start("signals", [2]);
    await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
    process.kill(victim.pid, "SIGQUIT");
    const { signal } = await victim.child.end();
    assert.equal(signal, "SIGQUIT");
    assert.deepEqual(await guard.child.end(), { code: 0, signal: null });
    assert.equal(guard.all("detached")[0]?.reason, "the process ended");
  });

  it("are not lost while guards come and go", async () => {
    await using victim = await Victim.start("signals", [4]);
    let finished = false;
    const queue = victim.counts("queue 60000", 60_000).finally(() => {
      finished = true;
    });
    let guards = 0;
    while (!finished && guards < 20) {
      using ledger = new TemporaryFolder();
      await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
      await guard.stop();
      guards += 1;
    }
    assert.deepEqual(await queue, { sent: 60000, got: 60000, wrong: 0 });
    assert.ok(guards >= 1);
    await waitUntil("nothing is wrong", () => victim.child.alive);
    assert.equal(await victim.ask("mask"), "mask changed=0");
  });
});
