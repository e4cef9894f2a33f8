/** Memory of the process itself in the place that a spare region has left is not taken for that region. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { readOverlays } from "../../src/recovery/classify.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

for (const fill of ["eager", "lazy"] as const) {
  for (const end of ["leaves", "is killed"] as const) {
    test(`${fill}: the process maps its RAM anew and memory of its own behind the tag, and the guard ${end}`, async () => {
      await using ram = await RamVictim.start(2);
      using ledger = new TemporaryFolder();
      const input = { pid: ram.pid, ledger: ledger.path, lost: [4096], fill } as const;
      await using guard = await GuardProcess.start(input);
      await ram.poison(1);
      assert.equal(await ram.touch(1), "ok");
      if (fill === "lazy") await guard.waitFor("filled");
      const place = readOverlays(ram.pid).placed[0]?.tag?.mapping.end;
      assert.ok(place !== undefined);
      assert.equal(await ram.victim.ask(`occupy ${place}`), "occupy done");
      // As QEMU 10 does at a reset: the tag names a replacement that is gone.
      assert.equal(await ram.victim.ask("remap 1"), "remap done");
      if (end === "leaves") await guard.stop();
      else await guard.murder();
      assert.equal(await ram.victim.ask(`occupied ${place}`), "occupied right");
      await using heir = await GuardProcess.start(input);
      await heir.stop();
      assert.equal(await ram.victim.ask(`occupied ${place}`), "occupied right");
      await ram.checkAll();
      await assertUntouched(ram.pid);
    });
  }
}
