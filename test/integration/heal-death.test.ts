/** The guard may die at any point of putting a large page back: no byte is wrong, nothing is left over, and the next one finishes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resetSteps } from "../../src/guard/guard-context.js";
import { healSteps } from "../../src/recovery/heal.js";
import { BAD_PAGE, HealRig, LOST } from "../framework/heal-rig.js";
import { LargePageFileSystem } from "../framework/large-page-file-system.js";
import { assertUntouched, overlaysIn, vmFlags } from "../framework/process-state.js";

/** Reached only when the pool is empty. */
const withoutPages: ReadonlySet<string> = new Set(["lost-cleared"]);
const steps = [...resetSteps, ...healSteps].filter((step) => !withoutPages.has(step));
/** After these the large page is in its place. */
const isBack: ReadonlySet<string> = new Set(["heal-swapped", "advice-renewed", "heal-outcome-recorded"]);

describe("a guard that is killed with -9 while a large page is put back", () => {
  for (const step of steps) {
    it(`at "${step}"`, async () => {
      await using rig = await HealRig.start();
      const { ram } = rig;
      await rig.dieAfterReset(step);
      assert.equal(overlaysIn(ram.pid), isBack.has(step) ? 0 : 1);
      if (!isBack.has(step)) await ram.check(BAD_PAGE, 1);
      assert.equal(rig.monitor.running, step === "reset-seen" || step === "heal-recorded");

      await using heir = await rig.guard();
      // Nothing tells of a reset whose only witness died at once: the large page comes back with the next one.
      if (step === "reset-seen") rig.monitor.reset();
      if (step !== "heal-outcome-recorded") await heir.waitFor("healed");
      await rig.untilRunning();
      assert.equal(overlaysIn(ram.pid), 0);
      await rig.expectBack();
      for (const flag of ["dc", "dd"]) assert.ok(vmFlags(ram.pid, ram.at(BAD_PAGE)).has(flag), flag);
      assert.deepEqual(heir.all("refused"), []);
      await rig.replace(heir, 2);
      await heir.stop();
      const { openHeals, openPause, replaced } = rig.ledger();
      assert.deepEqual([openHeals, openPause, replaced.length], [[], null, 1]);
      await assertUntouched(ram.pid);
      await ram.checkAll({ 2: 1 });
    });
  }
});

describe("with an empty pool, a guard that is killed with -9", () => {
  for (const step of ["hole-punched", "lost-cleared", "heal-outcome-recorded"]) {
    it(`at "${step}"`, async () => {
      using files = new LargePageFileSystem(3);
      await using rig = await HealRig.start(files.create("ram"));
      // Open in the process, as QEMU leaves its own: its pages go with the process, before the pool is put back.
      files.remove("ram");
      const { ram } = rig;
      const takePage = { step: "hole-punched", file: files.file("taken"), size: ram.pageSize };
      await rig.dieAfterReset(step, { takePage });
      assert.equal(overlaysIn(ram.pid), 1);

      await using heir = await rig.guard();
      if (step !== "heal-outcome-recorded") {
        assert.deepEqual(await rig.warnings(heir, 1), ["HM_HEAL_POOL_EMPTY"]);
      }
      await rig.untilRunning();
      assert.equal(overlaysIn(ram.pid), 1, "the small pages stay");
      await rig.expectBack();

      files.remove("taken");
      rig.monitor.reset();
      await heir.waitFor("healed");
      await rig.untilRunning();
      assert.equal(overlaysIn(ram.pid), 0);
      await ram.checkAll();
      await heir.stop();
      await assertUntouched(ram.pid);
      assert.deepEqual(rig.ledger().openHeals, []);
    });
  }
});

describe("a reset of the guest that no guard has seen", () => {
  it("is known by the hole that QEMU has left, and the large page comes back", async () => {
    await using rig = await HealRig.start();
    const { ram } = rig;
    await rig.dieAfterReset("reset-seen");
    assert.equal(await ram.victim.ask(`punch ${BAD_PAGE}`), "punch done");
    await using heir = await rig.guard();
    await heir.waitFor("healed");
    await rig.untilRunning();
    await rig.expectBack();
    await heir.stop();
    await assertUntouched(ram.pid);
  });

  it("is no reason to give up pages that may have been lost since", async () => {
    await using rig = await HealRig.start();
    const { ram } = rig;
    await rig.dieAfterReset("reset-seen");
    assert.equal(await ram.victim.ask(`punch ${BAD_PAGE}`), "punch done");
    await rig.loseSmallPage(8192);
    await using heir = await rig.guard();
    assert.deepEqual(await rig.warnings(heir, 1), ["HM_HEAL_NEW_LOSS"]);
    assert.equal(await ram.victim.ask(`mend ${BAD_PAGE} ${LOST}`), "mend zeros", "what the reset forgives");
    await rig.replace(heir, 2);
    assert.deepEqual(heir.all("healed"), []);
    assert.equal(overlaysIn(ram.pid), 2);
    await ram.check(BAD_PAGE, 1);
    rig.monitor.reset();
    await heir.waitFor("healed", 2);
    await rig.untilRunning();
    assert.equal(await ram.victim.ask(`mend 2 ${LOST}`), "mend zeros");
    await rig.expectBack([8192]);
    await heir.stop();
  });
});

describe("a small page that is lost between the reset and the return of its large page", () => {
  it("stays lost: the guest is told, and reads no zeros", async () => {
    await using rig = await HealRig.start();
    const { ram } = rig;
    await rig.dieAfterReset("page-allocated");
    await rig.loseSmallPage(8192);
    await using heir = await rig.guard();
    assert.deepEqual(await rig.warnings(heir, 1), ["HM_HEAL_NEW_LOSS"]);
    await rig.untilRunning();
    assert.equal(overlaysIn(ram.pid), 1);
    assert.equal(await ram.touch(BAD_PAGE, 8192), `lost 2 0x${ram.at(BAD_PAGE, 8192).toString(16)} 0`);
    assert.equal(await ram.victim.ask(`mend ${BAD_PAGE} ${LOST}`), "mend zeros", "what the reset forgives");
    await ram.check(BAD_PAGE, 1);
    await heir.stop();
    await assertUntouched(ram.pid);
    assert.deepEqual(rig.ledger().openHeals, []);
  });
});
