/** Other processes that map RAM are found, also of RAM that came after the guard. */

import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SharerWatch } from "../../src/guard/sharer-watch.js";
import { hva } from "../../src/linux/address.js";
import { mapping as flag } from "../../src/linux/native-memory.js";
import { readMappingAt } from "../../src/linux/procfs/find-mapping.js";
import type { FileId } from "../../src/linux/procfs/mappers.js";
import { type Mapping, readMaps } from "../../src/linux/procfs/maps.js";
import { SharedFiles } from "../../src/linux/procfs/shared-files.js";
import { readProcesses } from "../../src/linux/procfs/tasks.js";
import { systemCall } from "../../src/linux/system-call.js";
import { compileVictim } from "../compile-victim.js";
import { Child } from "../framework/child.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { Victim } from "../framework/victim.js";
import { waitUntil } from "../framework/wait-until.js";
import { acquire } from "../hugepages.js";

/** Longer than an answer counts as new. */
const SECOND_MS = 1100;

test("a sharer of RAM that was plugged in after the guard had attached is found at once", async () => {
  await using ram = await RamVictim.start(1);
  await using other = await RamVictim.start(1, { words: ["shared", `/proc/${ram.pid}/fd/3`] });
  const mapping = readMappingAt(ram.pid, hva(ram.start));
  assert.ok(mapping !== undefined);
  using watch = new SharerWatch(ram.pid, []);
  watch.start();
  assert.deepEqual(watch.names, []);
  const [name] = watch.namesFor(mapping);
  assert.ok(name?.startsWith(`${other.pid} (`), name);
  assert.deepEqual(watch.names, [name], "it is watched from then on");
});

test("one that came since the last look is found by another, unless there is no time for it", async () => {
  await using ram = await RamVictim.start(1);
  const mapping = readMappingAt(ram.pid, hva(ram.start));
  assert.ok(mapping !== undefined);
  using watch = new SharerWatch(ram.pid, [mapping]);
  watch.start();
  await using other = await RamVictim.start(1, { words: ["shared", `/proc/${ram.pid}/fd/3`] });
  await sleep(SECOND_MS);
  let asked = 0;
  await watch.lookUnless(() => ++asked === 3);
  assert.deepEqual([asked, watch.names], [3, []], "it stopped when it was told to");
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  await watch.lookUnless(() => {
    if (asked++ === 3) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    return false;
  });
  const [name] = watch.names;
  assert.ok(name?.startsWith(`${other.pid} (`), name);
  assert.ok(turned, "others had their turn meanwhile");
  await other[Symbol.asyncDispose]();
  await watch.lookUnless(() => false);
  assert.deepEqual(watch.names, [name], "a look that has just ended is not repeated");
  await sleep(SECOND_MS);
  await watch.lookUnless(() => false);
  assert.deepEqual(watch.names, []);
});

test("one that comes, and one that goes, is noticed by the slow look, however little it may do at a time", async () => {
  await using ram = await RamVictim.start(1);
  const mapping = readMappingAt(ram.pid, hva(ram.start));
  assert.ok(mapping !== undefined);
  // One process a visit: what would take a host with many thousands of them.
  using watch = new SharerWatch(ram.pid, [mapping], { visitMs: 1, most: 50, budgetMs: 0, least: 1 });
  watch.start();
  const told: string[] = [];
  watch.announce((names) => told.push(names.join()));
  await using other = await RamVictim.start(1, { words: ["shared", `/proc/${ram.pid}/fd/3`] });
  await waitUntil("it is found", () => watch.names.length > 0);
  assert.match(told[0] ?? "", new RegExp(`^${other.pid} `));
  await other[Symbol.asyncDispose]();
  await waitUntil("it is forgotten", () => watch.names.length === 0);
  assert.equal(told.length, 1);
});

test("the quick look agrees with the text, for every process and every file that is mapped", () => {
  let shared = 0;
  using quick = new SharedFiles();
  using folder = new TemporaryFolder();
  const path = join(folder.path, "file");
  writeFileSync(path, Buffer.alloc(4096));
  const fd = openSync(path, "r");
  // SAFETY: a new mapping of this process, for reading, of a file of its own.
  const address = systemCall("mmap", 0, 4096, flag.PROT_READ, flag.MAP_SHARED, fd, 0);
  try {
    for (const pid of readProcesses()) {
      const before = filesOf(pid);
      const answers = [...before.values()].map(({ file }) => quick.has(pid, [file]));
      const after = filesOf(pid);
      for (const [index, [name, { isShared }]] of [...before].entries()) {
        // Others live their lives meanwhile.
        if (after.get(name)?.isShared !== isShared) continue;
        assert.equal(answers[index], isShared, `process ${pid}, ${name}`);
        if (isShared) shared += 1;
      }
    }
    assert.ok(filesOf(process.pid).size > 1 && shared > 0, "there was something to compare");
  } finally {
    systemCall("munmap", address, 4096);
    closeSync(fd);
  }
});

test("a process that becomes another program is asked anew, and nothing stays open of one that has ended", async () => {
  await using ram = await RamVictim.start(1);
  await using _page = await acquire(1);
  const mapping = readMappingAt(ram.pid, hva(ram.start));
  assert.ok(mapping !== undefined);
  using quick = new SharedFiles();
  const words = [compileVictim("large-pages", "qemu-system-large-pages"), "1", String(LARGE_PAGE), "shared"];
  const wait = ["-c", 'read go; exec "$0" "$@"', ...words, `/proc/${ram.pid}/fd/3`];
  const child = Child.start("/bin/sh", wait);
  try {
    assert.deepEqual([quick.has(child.pid, [mapping]), quick.has(child.pid, [mapping])], [false, false]);
    assert.deepEqual(openMaps(), [child.pid], "it stays open");
    child.write("go");
    const victim = await Victim.adopt(child);
    assert.equal(victim.pid, child.pid, "the same process");
    assert.equal(quick.has(child.pid, [mapping]), true);
    for (let look = 0; look < 20; look += 1) assert.equal(quick.has(child.pid, [mapping]), true);
    assert.deepEqual(openMaps(), [child.pid], "one at a time");
  } finally {
    await child[Symbol.asyncDispose]();
  }
  assert.equal(quick.has(child.pid, [mapping]), false, "it has ended");
  assert.deepEqual(openMaps(), []);
  assert.equal(quick.has(ram.pid, [mapping]), true);
  assert.deepEqual(openMaps(), [ram.pid]);
  quick.retain([process.pid]);
  assert.deepEqual(openMaps(), [], "it counts no more");
});

/** Whose mappings this process has open. */
function openMaps(): number[] {
  const targets = readdirSync("/proc/self/fd").map((fd) => tryLink(`/proc/self/fd/${fd}`));
  return targets.flatMap((target) => /^\/proc\/(\d+)\/maps$/.exec(target)?.slice(1).map(Number) ?? []);
}

/** The descriptor of the listing itself is gone by then. */
function tryLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** All files a process maps, and whether it shares them; none if it may not be asked. */
function filesOf(pid: number): Map<string, { readonly file: FileId; readonly isShared: boolean }> {
  const files = new Map<string, { readonly file: FileId; readonly isShared: boolean }>();
  let mappings: readonly Mapping[];
  try {
    mappings = readMaps(pid);
  } catch {
    return files;
  }
  for (const one of mappings) {
    const { device, inode, shared } = one;
    if (inode === 0n) continue;
    const name = `${device} ${inode}`;
    files.set(name, { file: { device, inode }, isShared: shared || files.get(name)?.isShared === true });
  }
  return files;
}
