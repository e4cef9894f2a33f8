/** The background filler delays no fault: it is stopped in the middle of its work, and whoever needs a page gets it all the same. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readOverlays } from "../../src/recovery/classify.js";
import { GuardProcess } from "../framework/guard-process.js";
import { HeldFiller } from "../framework/held-filler.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";

describe("while the background filler stands still", () => {
  it("in the middle of a piece, every page of the replacement is served", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    using filler = new HeldFiller("ioctl");
    const input = { pid: ram.pid, ledger: ledger.path, lost: [4096], fill: "lazy" } as const;
    await using guard = await GuardProcess.start(input, filler.flag);
    await ram.poison(1);
    assert.equal(await ram.touch(1, 65536), "ok");
    await filler.untilHeld();
    await ram.check(1, 1);
    assert.deepEqual(guard.all("filled"), []);
    filler.release();
    assert.equal((await guard.waitFor("filled")).salvagedBytes, ram.pageSize - 4096);
    await ram.check(1, 1);
    assert.ok(!guard.all("warning").some(({ code }) => code.startsWith("HM_FILL")));
    await guard.stop();
    await assertUntouched(ram.pid);
  });

  it("in the middle of joining one replacement, every page of another is served", async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    using filler = new HeldFiller("process_madvise");
    const input = { pid: ram.pid, ledger: ledger.path, lost: [], fill: "lazy", fillRate: 0 } as const;
    await using guard = await GuardProcess.start(input, filler.flag);
    for (const page of [1, 2]) {
      await waitUntil("a spare is there", () => readOverlays(ram.pid).stray.length > 0);
      await ram.poison(page);
      assert.equal(await ram.touch(page, 65536), "ok");
      assert.equal((await guard.waitFor("recovered", page)).fill, "lazy");
    }
    // Who has all of it touched has it complete.
    await ram.check(2);
    await filler.untilHeld();
    await ram.check(1);
    assert.deepEqual(guard.all("filled"), []);
    filler.release();
    await guard.waitFor("filled", 2);
    await ram.checkAll();
    await guard.stop();
    await assertUntouched(ram.pid);
  });
});
