/** What the kernel says of memory that is left, and what a control group's limit makes of it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { availableMemory, memoryHeadroom } from "../../src/linux/procfs/memory-headroom.js";

const GIB = 2 ** 30;

describe("memory that is left", () => {
  it("is never more than the host has", () => {
    const host = availableMemory();
    assert.ok(host > 0);
    // Others take and give memory meanwhile.
    assert.ok(memoryHeadroom("self", GIB) < host + GIB);
    assert.ok(memoryHeadroom(process.pid, GIB) > 0);
  });
  it("is the host's for a process that nobody knows", () => {
    assert.ok(memoryHeadroom(4_194_303, GIB) > 0);
  });
});
