/** A poisoned large page leaves its file once nobody needs it. Nothing else ever does. */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { describe, it } from "node:test";
import { giveBackSteps } from "../../src/guard/guard-context.js";
import { BAD_PAGE, HealRig, LOST } from "../framework/heal-rig.js";
import { overlaysIn } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";

/** @returns how many large pages the RAM file has; a hole is none */
function pagesInFile({ ram }: HealRig): number {
  return (statSync(`/proc/${ram.pid}/fd/3`).blocks * 512) / ram.pageSize;
}

describe("a large page that is given back", () => {
  for (const fill of ["eager", "lazy"] as const) {
    it(`leaves its file, the guest keeps what it has; a reset brings a healthy one (${fill})`, async () => {
      await using rig = await HealRig.start();
      await using guard = await rig.guard({ fill, giveBack: true });
      await rig.replace(guard);
      const { pageSize, hva } = await guard.waitFor("returned");
      assert.deepEqual([pageSize, BigInt(hva)], [2 ** 21, rig.ram.at(BAD_PAGE)]);
      assert.equal(rig.ledger().replaced[0]?.givenBack, true);
      assert.equal(pagesInFile(rig), rig.ram.pages - 1);
      await rig.ram.checkAll({ [BAD_PAGE]: 1 });
      rig.monitor.reset();
      await guard.waitFor("healed");
      await rig.untilRunning();
      await rig.expectBack();
      await guard.stop();
    });
  }

  it("is not the one that a reset of the guest has brought back meanwhile", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ fill: "lazy", fillRate: 0, giveBack: true });
    await rig.ram.poison(BAD_PAGE);
    assert.equal(await rig.ram.touch(BAD_PAGE, LOST + 4096), "ok");
    await guard.waitFor("recovered");
    rig.monitor.reset();
    await guard.waitFor("healed");
    await guard.waitFor("filled");
    await rig.untilRunning();
    await rig.expectBack();
    await guard.stop();
    assert.deepEqual(guard.all("returned"), []);
    await rig.ram.checkAll();
  });

  it("stays in its file while another process maps it", async () => {
    await using rig = await HealRig.start();
    await using guard = await rig.guard({ fill: "lazy", fillRate: 0, giveBack: true });
    await rig.ram.poison(BAD_PAGE);
    assert.equal(await rig.ram.touch(BAD_PAGE, LOST + 4096), "ok");
    {
      await using other = await RamVictim.start(rig.ram.pages, {
        words: ["shared", `/proc/${rig.ram.pid}/fd/3`],
      });
      await guard.stop();
      assert.equal(guard.all("filled").length, 1);
      await other.check(0);
      assert.equal(pagesInFile(rig), rig.ram.pages);
    }
    assert.deepEqual(guard.all("returned"), []);
    await rig.ram.check(BAD_PAGE, 1);
  });

  for (const step of giveBackSteps) {
    it(`by a guard that dies at "${step}": the next one knows whose hole it is`, async () => {
      await using rig = await HealRig.start();
      {
        await using guard = await rig.guard({ giveBack: true, killAt: step });
        await rig.ram.poison(BAD_PAGE);
        assert.equal(await rig.ram.touch(BAD_PAGE, LOST + 4096), "ok");
        await guard.diesAtStep();
      }
      await rig.afterDeath();
      await using heir = await rig.guard();
      assert.equal(rig.ledger().replaced[0]?.givenBack, true);
      await rig.ram.checkAll({ [BAD_PAGE]: 1 });
      rig.monitor.reset();
      await heir.waitFor("healed");
      await rig.untilRunning();
      assert.equal(overlaysIn(rig.ram.pid), 0);
      await rig.expectBack();
      await heir.stop();
    });
  }
});
