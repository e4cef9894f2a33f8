/** A thread that is watched from one system call to the next, and one that waits on its own. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "../framework/child.js";
import { driverPath } from "../framework/driver-path.js";
import { assertUntouched, untilUntraced } from "../framework/process-state.js";
import { Victim } from "../framework/victim.js";

/** Long enough to see that nothing comes. */
const NOTHING_MS = 150;

async function watched(victim: Victim): Promise<Child> {
  const driver = Child.start(process.execPath, [
    driverPath("watch-driver"),
    JSON.stringify({ pid: victim.pid }),
  ]);
  assert.equal(await driver.output.next(), "watching");
  return driver;
}

describe("a thread that is watched", () => {
  it("stands before a system call until it is told to go on, and is free at the end", async () => {
    await using victim = await Victim.start("signals", [1]);
    await using driver = await watched(victim);
    for (let round = 0; round < 3; round++) {
      victim.child.write("mask");
      assert.equal(await driver.output.next(), "stands");
      await sleep(NOTHING_MS);
      assert.deepEqual(victim.child.output.unread, [], "what it is about to write is not written yet");
      driver.write("on");
      assert.equal(await victim.child.output.next(), "mask changed=0");
    }
    victim.child.write("mask");
    assert.equal(await driver.output.next(), "stands");
    driver.write("end");
    assert.equal(await victim.child.output.next(), "mask changed=0");
    assert.equal(await victim.ask("mask"), "mask changed=0");
    assert.deepEqual(driver.output.unread, [], "nobody looks any more");
    driver.closeInput();
    await driver.end();
    await assertUntouched(victim.pid);
  });

  it("goes on when the watcher dies, also where it stands", async () => {
    await using victim = await Victim.start("signals", [1]);
    for (const standing of [false, true]) {
      await using driver = await watched(victim);
      if (standing) {
        victim.child.write("mask");
        assert.equal(await driver.output.next(), "stands");
      }
      driver.kill("SIGKILL");
      await driver.end();
      await untilUntraced(victim.pid);
      if (standing) assert.equal(await victim.child.output.next(), "mask changed=0");
      assert.equal(await victim.ask("mask"), "mask changed=0");
      await assertUntouched(victim.pid);
    }
  });
});
