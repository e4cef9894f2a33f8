/** A spare whose removal came too late to be seen is not removed once more: what lies there by then is the process's own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Child } from "../framework/child.js";
import { driverPath } from "../framework/driver-path.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

for (const [kind, late] of [
  ["populated", "munmap"],
  ["empty", "munmap"],
  ["empty", "close"],
] as const) {
  test(`${kind} spare, ${late} comes late: memory and descriptors that are there by then stay`, async () => {
    await using ram = await RamVictim.start(1);
    using ledger = new TemporaryFolder();
    const input = JSON.stringify({ pid: ram.pid, kind, late });
    await using driver = Child.start(process.execPath, [driverPath("spare-driver"), input]);
    const place = await driver.output.next();
    assert.match(place, /^\d+$/, driver.errors.all.join("\n"));
    assert.equal(await ram.victim.ask(`occupy ${place}`), "occupy done");
    driver.write("again");
    assert.equal(await driver.output.next(), "closed 0", driver.errors.all.join("\n"));
    assert.deepEqual(await driver.end(), { code: 0, signal: null }, driver.errors.all.join("\n"));
    assert.equal(await ram.victim.ask(`occupied ${place}`), "occupied right");
    // The next guard removes what is left of it.
    await using heir = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path });
    await heir.stop();
    assert.equal(await ram.victim.ask(`occupied ${place}`), "occupied right");
    await assertUntouched(ram.pid);
  });
}
