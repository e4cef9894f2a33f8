/** Other processes that map RAM are found, also of RAM that came after the guard. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharerWatch } from "../../src/guard/sharer-watch.js";
import { hva } from "../../src/linux/address.js";
import { readMappingAt } from "../../src/linux/procfs/find-mapping.js";
import { RamVictim } from "../framework/ram-victim.js";

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
