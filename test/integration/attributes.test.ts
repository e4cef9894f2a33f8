/** What a process has set on its RAM is on the replacement too. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva } from "../../src/linux/address.js";
import { readMappingAt } from "../../src/linux/procfs/find-mapping.js";
import { numaMode, readNumaPolicy } from "../../src/linux/procfs/numa-maps.js";
import { GuardProcess } from "../framework/guard-process.js";
import { vmFlags } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

/** VmFlags that say what somebody has asked for; the others tell what kind of memory it is. */
const asked = ["rd", "wr", "ex", "sh", "dc", "dd", "mg", "wf", "sr", "rr"];

function flagsAt(ram: RamVictim, page: number): string[] {
  const flags = vmFlags(ram.pid, readMappingAt(ram.pid, hva(ram.at(page)))?.start ?? 0n);
  return asked.filter((flag) => flags.has(flag));
}

describe("attributes of RAM", () => {
  for (const [name, mode] of Object.entries(numaMode)) {
    if (mode === numaMode.default || mode === numaMode.local) continue;
    // Linux 6.9 and later only.
    if (mode === numaMode["weighted interleave"]) continue;
    it(`survive: NUMA policy ${name}, DONTDUMP, protection`, async () => {
      using folder = new TemporaryFolder();
      await using ram = await RamVictim.start(3);
      await ram.victim.ask("advise");
      assert.equal(await ram.victim.ask(`policy ${mode}`), "policy done");
      const policy = readNumaPolicy(ram.pid, hva(ram.at(0)));
      assert.deepEqual(policy, { mode, nodes: [0] });
      const flags = flagsAt(ram, 1);
      assert.ok(flags.includes("dc") && flags.includes("dd"), flags.join(" "));
      await using guard = await GuardProcess.start({ pid: ram.pid, ledger: folder.path, lost: [4096] });
      await ram.poison(1);
      assert.equal(await ram.touch(1), "ok");
      await guard.waitFor("recovered");
      assert.deepEqual(readNumaPolicy(ram.pid, hva(ram.at(1))), policy);
      // Nobody inherits it, so nobody could tell that it is not shared any more.
      assert.deepEqual(
        flagsAt(ram, 1),
        flags.filter((flag) => flag !== "sh"),
      );
      await ram.checkAll({ 1: 1 });
      await guard.stop();
    });
  }

  it("survive: none at all", async () => {
    using folder = new TemporaryFolder();
    await using ram = await RamVictim.start(3);
    assert.equal(await ram.victim.ask("inherit"), "inherit done");
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: folder.path, lost: [4096] });
    await ram.poison(1);
    assert.equal(await ram.touch(1), "ok");
    await guard.waitFor("recovered");
    assert.equal(readNumaPolicy(ram.pid, hva(ram.at(1))), undefined);
    assert.deepEqual(flagsAt(ram, 1), flagsAt(ram, 0));
    assert.ok(flagsAt(ram, 1).includes("sh"));
    await guard.stop();
  });
});
