/** What a guard lays out in the process beforehand: as much as it says, and gone when it leaves. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

/** What the process touches of its own while a thread of it is borrowed. */
const SLACK = 65_536;

interface State {
  readonly memory: number;
  readonly addressSpace: number;
  readonly descriptors: number;
}

function stateOf(pid: number): State {
  const bytes = (file: string, name: string): number => {
    const text = readFileSync(`/proc/${pid}/${file}`, "latin1");
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) * 1024;
  };
  return {
    // Of programs and libraries the kernel may map more pages or fewer at each touch.
    memory: bytes("smaps_rollup", "Anonymous"),
    addressSpace: bytes("status", "VmSize"),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

describe("what is ready in a guarded process", () => {
  for (const [fill, memory, descriptors] of [
    ["eager", 2 ** 21 + 4096, 0],
    ["lazy", 4096, 1],
  ] as const) {
    it(`is what the guard says (${fill}), and nothing of it stays`, async () => {
      await using ram = await RamVictim.start(2);
      using ledger = new TemporaryFolder();
      const before = stateOf(ram.pid);
      await using guard = await GuardProcess.start({
        pid: ram.pid,
        ledger: ledger.path,
        lost: [4096],
        fill,
      });
      const { kit } = await guard.waitFor("ready");
      assert.deepEqual(kit, [
        { pageSize: 2 ** 21, bytes: memory, addressSpace: 2 ** 21 + 4096, descriptors },
      ]);
      const now = stateOf(ram.pid);
      const grown = now.memory - before.memory;
      // The tag is a page of a file, which nobody in the process has read.
      assert.ok(grown >= memory - 4096 && grown <= memory + SLACK, `${grown} bytes more`);
      assert.equal(now.addressSpace - before.addressSpace, 2 ** 21 + 4096);
      assert.equal(now.descriptors - before.descriptors, descriptors);
      await guard.stop();
      const after = stateOf(ram.pid);
      assert.ok(after.memory - before.memory <= SLACK, `${after.memory - before.memory} bytes left`);
      assert.equal(after.addressSpace, before.addressSpace);
      assert.equal(after.descriptors, before.descriptors);
    });
  }
});
