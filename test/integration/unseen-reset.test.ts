/** A guest that was reset finds memory where something was lost, whether or not its large page can come back. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GuardProcess } from "../framework/guard-process.js";
import { BAD_PAGE, HealRig, LOST } from "../framework/heal-rig.js";
import { assertUntouched, overlaysIn } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";

const codes = (guard: GuardProcess): string[] => guard.all("warning").map(({ code }) => code);

/** Of what is lost the guest may expect nothing but memory that holds zeros. */
async function expectForgiven({ ram }: HealRig): Promise<void> {
  assert.equal(await ram.victim.ask(`mend ${BAD_PAGE} ${LOST}`), "mend zeros");
  await ram.checkAll();
}

describe("without a monitor", () => {
  it("a lost page is usable as soon as it is touched after a reset; the small pages stay", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ qmp: undefined });
    await rig.replace(guard);
    await rig.renew();
    await expectForgiven(rig);
    await guard.waitFor("warning", 2);
    assert.deepEqual(codes(guard), ["HM_QMP_NONE", "HM_HEAL_NO_QMP"]);
    assert.equal(overlaysIn(rig.ram.pid), 1);
    await guard.stop();
    await assertUntouched(rig.ram.pid);
    assert.deepEqual(rig.ledger().replaced[0]?.lost, []);
  });

  it("a reset is noticed within a while also if nobody touches the lost page", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ qmp: undefined });
    await rig.replace(guard);
    await rig.renew();
    const { message } = await guard.waitFor("warning", 2);
    assert.match(message, /1 lost page of 4 KiB can be used again/);
    await guard.stop();
    await expectForgiven(rig);
  });

  it("a lost page stays lost for as long as the guest was not reset", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ qmp: undefined });
    await rig.replace(guard);
    await sleep(1500);
    await rig.ram.check(BAD_PAGE, 1);
    await guard.stop();
  });

  it("a page that is lost once more, after a reset, is lost", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ qmp: undefined });
    await rig.replace(guard);
    await rig.renew();
    await expectForgiven(rig);
    await guard.stop();
    await rig.loseSmallPage(LOST);
    await using heir = await rig.guard({ qmp: undefined });
    await sleep(1500);
    await rig.ram.check(BAD_PAGE, 1);
    await heir.stop();
  });

  it("a page that was given back says nothing of a reset", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ qmp: undefined, fill: "lazy", giveBack: true });
    await rig.ram.poison(BAD_PAGE);
    assert.equal(await rig.ram.touch(BAD_PAGE), "ok");
    await guard.waitFor("returned");
    await sleep(1500);
    await rig.ram.check(BAD_PAGE, 1);
    await guard.stop();
    await using heir = await rig.guard({ qmp: undefined });
    await sleep(1500);
    await rig.ram.check(BAD_PAGE, 1);
    await heir.stop();
  });
});

describe("a reset that QEMU has not told of", () => {
  it("is known when a lost page is touched, and the large page comes back", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard();
    await rig.replace(guard);
    await rig.renew();
    await expectForgiven(rig);
    await guard.waitFor("healed");
    await rig.untilRunning();
    assert.equal(overlaysIn(rig.ram.pid), 0);
    await rig.ram.checkAll();
    await guard.stop();
    await assertUntouched(rig.ram.pid);
  });

  it("is known when the connection to the monitor was away", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard();
    await rig.replace(guard);
    await rig.renew();
    rig.monitor.drop();
    await guard.waitFor("healed");
    await rig.untilRunning();
    await rig.expectBack();
    await guard.stop();
  });

  it("is taken over from a guard that dies in the middle", async () => {
    await using rig = await HealRig.start();
    {
      await using guard = await rig.guard({ killAt: "lost-forgiven" });
      await rig.replace(guard);
      await rig.renew();
      await expectForgiven(rig);
      await guard.diesAtStep();
    }
    await rig.afterDeath();
    await using heir = await rig.guard();
    await heir.waitFor("healed");
    await rig.untilRunning();
    assert.equal(overlaysIn(rig.ram.pid), 0);
    await rig.ram.checkAll();
    await heir.stop();
    await assertUntouched(rig.ram.pid);
  });
});

describe("with another process that maps the RAM", () => {
  it("lost pages are usable after a reset, and it is told once; without it the large page comes back", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard();
    await rig.replace(guard);
    {
      await using other = await RamVictim.start(rig.ram.pages, {
        words: ["shared", `/proc/${rig.ram.pid}/fd/3`],
      });
      await other.check(0);
      rig.monitor.reset();
      await guard.waitFor("warning", 3);
      await expectForgiven(rig);
      rig.monitor.reset();
      await sleep(500);
      assert.deepEqual(codes(guard), ["HM_RAM_SHARED_WITH_OTHERS", "HM_RAM_FILE_STALE", "HM_HEAL_SHARED"]);
      assert.equal(rig.ledger().openHeals.length, 0);
    }
    rig.monitor.reset();
    await guard.waitFor("healed");
    await rig.untilRunning();
    await guard.stop();
  });
});

describe("a guard that is told to stop", () => {
  it("says that lost pages need one at the next reset", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard();
    await rig.replace(guard);
    await guard.stop();
    assert.deepEqual(codes(guard), ["HM_LOST_LEFT_BEHIND"]);
    assert.equal(guard.events.at(-1)?.event, "detached");
  });
});
