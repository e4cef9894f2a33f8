/** A process that locks its memory, as QEMU does with -overcommit mem-lock=on: new mappings are populated at once. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { overlaysIn, vmFlags } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

test("lost pages are marked in locked memory, and it stays locked", async () => {
  using folder = new TemporaryFolder();
  await using ram = await RamVictim.start(4, { words: ["locked"] });
  await using guard = await GuardProcess.start({
    pid: ram.pid,
    ledger: folder.path,
    lost: [0, 8192, 2093056],
  });
  await ram.poison(1);
  assert.equal(await ram.touch(1, 4096), "ok");
  await guard.waitFor("recovered");
  await ram.checkAll({ 1: 3 });
  assert.equal(overlaysIn(ram.pid), 1);
  assert.ok(vmFlags(ram.pid, ram.at(1)).has("lo"), "the replacement is locked like the rest");
  await guard.stop();
});
