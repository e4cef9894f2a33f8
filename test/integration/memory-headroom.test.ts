/** What the kernel says of memory that is left, and what a control group's limit makes of it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { availableMemory, MemoryHeadroom } from "../../src/linux/procfs/memory-headroom.js";

const GIB = 2 ** 30;

describe("memory that is left", () => {
  it("is never more than the host has", () => {
    const host = availableMemory();
    assert.ok(host > 0);
    using own = new MemoryHeadroom("self");
    using same = new MemoryHeadroom(process.pid);
    // Others take and give memory meanwhile.
    for (const headroom of [own, same, own, same]) {
      assert.ok(headroom.bytes(GIB) > 0);
      assert.ok(headroom.bytes(GIB) < host + GIB);
    }
  });
  it("is the host's for a process that nobody knows", () => {
    using headroom = new MemoryHeadroom(4_194_303);
    assert.ok(headroom.bytes(GIB) > 0);
  });
});
