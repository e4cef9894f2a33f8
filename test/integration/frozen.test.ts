/**
 * A process that stands still as a whole in the middle of a recovery: the thread that was borrowed does not come back in time, and makes its
 * call later, when the guard has given up long ago.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FrozenGroup } from "../framework/frozen-group.js";
import { GuardProcess } from "../framework/guard-process.js";
import { intents } from "../framework/intents.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const LOST = 4096;
/** Longer than the guard waits for a thread (tracee/stop-wait.ts). */
const FROZEN_MS = 6500;

/** Before the call that moves the replacement into place it is never made: then all of the large page is lost, as without a guard. */
const cases = [
  { fill: "eager", step: "planned", lost: 512, next: /^--fill is eager$/ },
  { fill: "eager", step: "tagged", lost: 1, next: /^--fill is eager$/ },
  { fill: "lazy", step: "bad-found", lost: 1, next: /has not come back yet/ },
  { fill: "lazy", step: "lazy-lost-marked", lost: 1, next: /has not come back yet/ },
] as const;

describe("a process that is frozen during a recovery", () => {
  for (const { fill, step, lost, next } of cases) {
    it(`has no wrong byte, and loses no more than without a guard: ${fill}, at "${step}"`, async () => {
      await using group = new FrozenGroup();
      await using ram = await RamVictim.start(4);
      using ledger = new TemporaryFolder();
      const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill };
      await using guard = await GuardProcess.start({ ...input, blockAt: { step, ms: 400 } });
      group.add(ram.pid);
      // Another thread that lives, so that there is one to borrow afterwards.
      await ram.victim.ask("hammer 1");
      await ram.poison(1);
      await sleep(200);
      group.freeze();
      await sleep(FROZEN_MS);
      group.thaw();
      await sleep(2000);
      assert.equal((await ram.victim.counts("calm"))["corrupt"], 0);
      await ram.check(0);
      // Replaced late, or not at all: never a wrong byte.
      await ram.check(1, lost);
      // The spare that was lent is never used again: the next page is filled before it is put in place.
      await ram.poison(2);
      await ram.check(2, 1);
      assert.equal((await guard.waitFor("recovered")).fill, "eager");
      assert.match(intents(ram.pid, ledger.path).at(-1)?.why ?? "", next);
      await guard.stop();
      await ram.check(1, lost);
      await using heir = await GuardProcess.start(input);
      await ram.poison(3);
      await ram.checkAll({ 1: 1, 2: 1, 3: 1 });
      await heir.stop();
      await assertUntouched(ram.pid);
    });
  }

  it("is left alone by the next guard until the call of the dead one was made", async () => {
    await using group = new FrozenGroup();
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST] };
    {
      await using guard = await GuardProcess.start({ ...input, blockAt: { step: "tagged", ms: 400 } });
      group.add(ram.pid);
      await ram.victim.ask("hammer 1");
      await ram.poison(1);
      await sleep(200);
      group.freeze();
      assert.equal((await guard.waitFor("refused")).code, "HM_TRACEE_STUCK");
      await guard.murder();
    }
    {
      // What it would lay out could lie where the call looks for the spare of the dead one.
      await using heir = GuardProcess.launch(input);
      assert.notEqual((await heir.child.end()).code, 0);
      assert.match(heir.child.errors.all.join("\n"), /has not come back/);
    }
    group.thaw();
    await using last = await GuardProcess.start(input);
    await ram.checkAll({ 1: 1 });
    assert.equal((await ram.victim.counts("calm"))["corrupt"], 0);
    await last.stop();
    await assertUntouched(ram.pid);
  });
});
