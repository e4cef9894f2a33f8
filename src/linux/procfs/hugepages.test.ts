import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import {
  parseCounter,
  parseMeminfo,
  parsePoolName,
  readAvailableMemory,
  readHugepagePools,
  readNodePools,
} from "./hugepages.js";

describe("hugepages", () => {
  it("reads the page size from a pool's name and nothing from another name", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (kilobytes) => {
        assert.equal(parsePoolName(`hugepages-${kilobytes}kB`), kilobytes * 1024);
      }),
    );
    for (const name of [
      "hugepages-0kB",
      "hugepages-kB",
      "hugepages-2048",
      "hugepages-2048kB.x",
      "-2048kB",
      "",
    ]) {
      assert.equal(parsePoolName(name), undefined, name);
    }
  });

  it("reads counters, and refuses anything else with a LinuxError", () => {
    fc.assert(
      fc.property(fc.nat(), (value) => {
        assert.equal(parseCounter("nr_hugepages", `${value}\n`), value);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (text) => {
        if (/^\s*\d{1,15}\s*$/.test(text)) return;
        assert.throws(() => parseCounter("nr_hugepages", text), LinuxError);
      }),
    );
  });

  it("reads lines of meminfo in bytes; a kernel that does not handle errors has no HardwareCorrupted", () => {
    const text = "MemTotal: 1 kB\nHardwareCorrupted:     4 kB\nHugePages_Total: 0\n";
    assert.equal(parseMeminfo(text, "HardwareCorrupted"), 4096);
    assert.equal(parseMeminfo(text, "MemTotal"), 1024);
    assert.equal(parseMeminfo(text, "Mem"), undefined);
    assert.equal(parseMeminfo("", "HardwareCorrupted"), undefined);
    assert.throws(() => parseMeminfo("MemTotal: x kB\n", "MemTotal"), { code: "HM_PROC_FORMAT" });
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (value) => {
        try {
          assert.equal(typeof parseMeminfo(`MemTotal:${value}`, "MemTotal"), "number");
        } catch (error) {
          assert.ok(error instanceof LinuxError, String(error));
        }
      }),
    );
    assert.ok(readAvailableMemory() > 0);
  });

  it("sees the same pages in the nodes as in the machine", () => {
    const nodes = readNodePools();
    for (const pool of readHugepagePools()) {
      assert.ok(pool.free <= pool.total);
      const mine = nodes.filter(({ pageSize }) => pageSize === pool.pageSize);
      assert.ok(mine.every(({ node }) => node !== undefined));
    }
    assert.deepEqual(
      [...new Set(nodes.map(({ pageSize }) => pageSize))].sort(),
      nodes.length === 0 ? [] : [...new Set(readHugepagePools().map(({ pageSize }) => pageSize))].sort(),
    );
  });
});
