/** One mapping by its address, as the kernel tells it, beside what /proc/PID/maps says. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Hva, hva } from "../../src/linux/address.js";
import { MappingCount } from "../../src/linux/procfs/mapping-count.js";
import { MappingLookup } from "../../src/linux/procfs/mapping-lookup.js";
import { mappingAt, readMaps } from "../../src/linux/procfs/maps.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";
import { acquire } from "../hugepages.js";
import { startHolder } from "../hugetlb-holder.js";

const LARGE = 2 * 1024 * 1024;
/** The kernel shows it in the text of every process, but it is no mapping of any (arch/x86/entry/vsyscall). */
const GATE = "[vsyscall]";

function assertSame(pid: number, lookup: MappingLookup): void {
  const mappings = readMaps(pid).filter(({ path }) => path !== GATE);
  assert.ok(mappings.length > 5);
  for (const mapping of mappings) {
    for (const address of [mapping.start, hva(mapping.start + 77n), hva(mapping.end - 1n)])
      assert.deepEqual(lookup.at(address)?.mapping, mapping);
    const before = hva(mapping.start - 1n);
    assert.deepEqual(lookup.at(before)?.mapping, mappingAt(mappings, before));
    assert.deepEqual(lookup.at(mapping.end)?.mapping, mappingAt(mappings, mapping.end));
  }
}

/** A sleeping process whose program has a strange name and is deleted. */
async function startDeleted(folder: string): Promise<{ pid: number } & AsyncDisposable> {
  const program = join(folder, "odd ü\nname");
  copyFileSync("/bin/sleep", program);
  const child = spawn(program, ["1000"], { stdio: "ignore" });
  const closed = once(child, "close");
  await once(child, "spawn");
  const { pid } = child;
  assert.ok(pid !== undefined);
  await waitUntil("the program to run", () => readMaps(pid).some(({ path }) => path === "[heap]"));
  rmSync(program);
  return {
    pid,
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill();
      await closed;
    },
  };
}

describe("the mapping at an address", () => {
  it("is the one that the text shows, for all mappings of a process with large pages", async () => {
    await using _pages = await acquire(3);
    for (const sharing of ["shared", "private"]) {
      await using holder = await startHolder(["3", sharing]);
      using lookup = new MappingLookup(holder.pid);
      assertSame(holder.pid, lookup);
      const there = lookup.at(holder.start);
      assert.equal(there?.mapping.path, "/memfd:test ram (deleted)");
      // Asked of the file system, then of the kernel's answer alone.
      for (const _time of [1, 2]) assert.equal(lookup.largePageSize(there), LARGE);
      for (const mapping of readMaps(holder.pid)) {
        const found = lookup.at(mapping.start);
        if (found === undefined || mapping.start === holder.start) continue;
        assert.equal(lookup.largePageSize(found), undefined, mapping.path);
      }
    }
  });

  it("is told for a deleted file with a strange name, heap, stack and holes", async () => {
    using folder = new TemporaryFolder();
    await using sleeper = await startDeleted(folder.path);
    using lookup = new MappingLookup(sleeper.pid);
    assertSame(sleeper.pid, lookup);
    const paths = readMaps(sleeper.pid).map(({ path }) => path);
    assert.ok(paths.includes(`${folder.path}/odd ü\nname (deleted)`), paths.join());
    for (const special of ["[heap]", "[stack]", "[vdso]"]) assert.ok(paths.includes(special), special);
    assert.equal(lookup.at(hva(0n)), undefined);
    assert.equal(lookup.at(hva((1n << 64n) - 1n)), undefined);
  });

  it("is the new program's after an exec, through the same lookup", async () => {
    const child = spawn("/bin/sh", ["-c", "read line; exec sleep 1000"], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    const closed = once(child, "close");
    await once(child, "spawn");
    const { pid } = child;
    assert.ok(pid !== undefined);
    try {
      const text = (): string =>
        readMaps(pid)
          .map(({ path }) => path)
          .join("\n");
      await waitUntil("the shell to run", () => text().includes("[heap]"));
      using lookup = new MappingLookup(pid);
      const before = programStart(pid);
      assert.match(lookup.at(before)?.mapping.path ?? "", /sh$/);
      child.stdin?.end("\n");
      await waitUntil("sleep to run", () => text().includes("sleep"));
      await waitUntil("sleep to be loaded", () => text().includes("[heap]"));
      assert.deepEqual(lookup.at(before)?.mapping, mappingAt(readMaps(pid), before));
      assert.match(lookup.at(programStart(pid))?.mapping.path ?? "", /sleep$/);
      assertSame(pid, lookup);
    } finally {
      child.kill();
      await closed;
    }
  });
});

function programStart(pid: number): Hva {
  const [first] = readMaps(pid);
  assert.ok(first);
  return first.start;
}

describe("the number of mappings", () => {
  it("is counted once, and then again only when what was added may matter", () => {
    const lines = readMaps(process.pid).length;
    const count = new MappingCount(process.pid, 16);
    const first = count.beforeRecovery();
    // This process maps and unmaps by itself.
    assert.ok(Math.abs(first.mappings - lines) < 50);
    assert.ok(first.limit > 1000);
    assert.equal(count.beforeRecovery().mappings, first.mappings + 16);
    let largest = 0;
    for (let recovery = 0; recovery < first.limit / 16; recovery += 1)
      largest = Math.max(largest, count.beforeRecovery().mappings);
    assert.ok(largest <= first.limit / 2 + first.mappings, `${largest} of ${first.limit}`);
  });
});
