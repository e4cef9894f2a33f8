/** What a lazy recovery has open in the process is closed when it is over, also if no thread could be borrowed for that just then. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readDescriptors } from "../../src/linux/procfs/fdinfo.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";

const LOST = 4096;

function userfaultfds(pid: number): number {
  return readDescriptors(pid).filter(({ kind }) => kind === "userfaultfd").length;
}

for (const goesOn of [true, false]) {
  test(`the only thread stands at an error when a replacement is full; the guard ${goesOn ? "goes on" : "leaves"}`, async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    const blockAt = { step: "fill-full", ms: 300 };
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy", blockAt } as const;
    await using guard = await GuardProcess.start(input);
    await ram.poison(1);
    assert.equal(await ram.touch(1, 8192), "ok");
    // One of these begins while the guard does not look.
    while (guard.all("filled").length === 0) assert.match(await ram.touch(1, LOST), /^lost/);
    if (goesOn) await waitUntil("that of the next spare is left", () => userfaultfds(ram.pid) === 1);
    await guard.stop();
    await assertUntouched(ram.pid);
    await ram.check(1, 1);
  });
}
