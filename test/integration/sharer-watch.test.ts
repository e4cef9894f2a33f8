/** Other processes that map RAM are found, also of RAM that came after the guard. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SharerWatch } from "../../src/guard/sharer-watch.js";
import { hva } from "../../src/linux/address.js";
import { readMappingAt } from "../../src/linux/procfs/find-mapping.js";
import { RamVictim } from "../framework/ram-victim.js";

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
