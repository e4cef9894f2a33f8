/** A large page that is replaced first and filled afterwards: nobody ever reads a hole, and at the end nothing is left of how it was done. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched, overlaysIn } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

describe("a large page that is filled lazily", () => {
  for (const offsets of [
    [0],
    [LARGE_PAGE / 2],
    [LARGE_PAGE - 4096],
    [0, 409600, 413696, LARGE_PAGE - 4096],
  ]) {
    it(`loses what is lost at ${offsets.join(", ")}, and nothing else`, async () => {
      await using ram = await RamVictim.start(3);
      using ledger = new TemporaryFolder();
      await using guard = await GuardProcess.start({
        pid: ram.pid,
        ledger: ledger.path,
        lost: offsets,
        fill: "lazy",
      });
      await ram.poison(1);
      assert.equal(await ram.touch(1, 8192), "ok");
      const recovered = await guard.waitFor("recovered");
      assert.equal(recovered.fill, "lazy");
      const filled = await guard.waitFor("filled");
      assert.equal(filled.salvagedBytes, LARGE_PAGE - offsets.length * 4096);
      assert.equal(
        filled.lost.reduce((sum, { bytes }) => sum + bytes, 0),
        offsets.length * 4096,
      );
      await ram.checkAll({ 1: offsets.length });
      assert.equal(overlaysIn(ram.pid), 1);
      await guard.stop();
      await ram.checkAll({ 1: offsets.length });
      await assertUntouched(ram.pid);
    });
  }
});
