/** Two threads that block SIGBUS stand at errors at the same moment: the kernel takes the mask from both, and the handler only once. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

for (const pages of ["1 2", "1 1"]) {
  test(`both block it afterwards: large pages ${pages}`, async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    assert.equal(await ram.victim.ask("block"), "block done");
    // While the guard does not look, both come to stand.
    const blockAt = { step: "stopped", ms: 200 };
    const input = { pid: ram.pid, ledger: ledger.path, lost: [4096], blockAt } as const;
    await using guard = await GuardProcess.start(input);
    for (const page of [1, 2]) await ram.poison(page);
    assert.equal(await ram.victim.ask(`both ${pages}`), "both ok still-blocked ok still-blocked");
    assert.equal(await ram.victim.ask("handler"), "handler caught");
    await ram.checkAll({ 1: 1, 2: 1 });
    await guard.stop();
    await assertUntouched(ram.pid);
  });
}
