/** Threads that stopped at a page which is mapped again, against real page tables. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { StaleStops } from "../../src/guard/stale-stop.js";
import { hva } from "../../src/linux/address.js";
import { PagemapReader } from "../../src/linux/procfs/pagemap-reader.js";
import { RamVictim } from "../framework/ram-victim.js";

const TID = 4711;

test("a stop at a poisoned page is real, one at a mapped page is stale, but not for ever", async () => {
  await using ram = await RamVictim.start(2);
  const stale = new StaleStops();
  using pagemap = new PagemapReader(ram.pid);
  const at = (page: number): boolean => stale.has(pagemap, TID, hva(ram.at(page, 12_345)));
  await ram.poison(1);
  assert.equal(at(1), false, "poisoned");
  await ram.check(0);
  assert.deepEqual([at(0), at(0), at(0), at(0)], [true, true, true, false], "mapped");
  await ram.victim.ask("remap 1");
  await ram.check(1);
  assert.equal(at(1), true, "put back");
});
