/** The frame index against the kernel's own page tables, on real large pages; the search, with a read that finds nothing. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FrameWatch } from "../../src/guard/untouched/frame-watch.js";
import { hva, pfn } from "../../src/linux/address.js";
import { readPagemap } from "../../src/linux/procfs/pagemap.js";
import { RamVictim, SMALL_PAGES } from "../framework/ram-victim.js";

describe("page frames of a VM's large pages", () => {
  it("are found by any 4 KiB of them, those of others are not", async () => {
    await using ram = await RamVictim.start(4);
    const found: bigint[] = [];
    using watch = new FrameWatch(
      ram.pid,
      (base) => found.push(base),
      () => {},
    );
    watch.start();
    for (let page = 0; page < ram.pages; page += 1) {
      const words = readPagemap(ram.pid, hva(ram.at(page)), SMALL_PAGES);
      for (const part of [0, 1, 255, 511]) {
        const frame = words[part]?.pfn;
        assert.ok(frame !== undefined, "the victim has touched its large pages");
        assert.equal(watch.find(frame), ram.at(page), `part ${part} of large page ${page}`);
      }
    }
    assert.equal(watch.find(pfn(0)), undefined);
    watch.search();
    await sleep(300);
    assert.deepEqual(found, [], "healthy large pages");
  });
});
