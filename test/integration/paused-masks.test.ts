/** Recoveries with the VM paused borrow another thread than the one that hit the poison: each must keep its own signal mask. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { hasSignal } from "../../src/linux/procfs/status.js";
import { signal } from "../../src/linux/signals.js";
import { GuardProcess } from "../framework/guard-process.js";
import { ObligingMonitor } from "../framework/obliging-monitor.js";
import { assertUntouched, threadStatuses } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const PAGES = 6;

test("a thread that blocks SIGBUS is recovered while the VM is paused, and nobody else's mask changes", async () => {
  using folder = new TemporaryFolder();
  await using ram = await RamVictim.start(PAGES);
  await using monitor = await ObligingMonitor.start(join(folder.path, "qmp"), ram.start, PAGES * LARGE_PAGE);
  await using guard = await GuardProcess.start({
    pid: ram.pid,
    ledger: join(folder.path, "ledger"),
    qmp: monitor.path,
    quiesce: "always",
    lost: [4096],
  });
  for (let page = 0; page < PAGES; page += 1) {
    await ram.poison(page);
    assert.equal(await ram.victim.ask(`blocked ${page} 0`), "blocked ok still-blocked");
    assert.equal((await guard.waitFor("recovered", page + 1)).quiesced, true);
    assert.equal(await ram.victim.ask("handler"), "handler caught");
    const blockers = threadStatuses(ram.pid).filter(({ sigBlk }) => hasSignal(sigBlk, signal.SIGBUS));
    assert.deepEqual(blockers, [], "threads left that block SIGBUS");
    assert.equal(await ram.touch(page, 4096), `lost 2 0x${ram.at(page, 4096).toString(16)} 0`);
    assert.ok(monitor.running, "the VM runs again");
  }
  await guard.stop();
  await assertUntouched(ram.pid);
});
