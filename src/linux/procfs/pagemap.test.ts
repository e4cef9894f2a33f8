import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../address.js";
import { mappingAt, readMaps } from "./maps.js";
import { decodePagemap, type PagemapEntry, readPagemap } from "./pagemap.js";
import { PagemapReader } from "./pagemap-reader.js";

/** The inverse, bit by bit from Documentation/admin-guide/mm/pagemap.rst. */
function encode(entry: PagemapEntry): bigint {
  const bit = (set: boolean, index: bigint) => (set ? 1n << index : 0n);
  return (
    bit(entry.present, 63n) |
    bit(entry.swapped, 62n) |
    bit(entry.file, 61n) |
    bit(entry.guard, 58n) |
    bit(entry.uffdWriteProtected, 57n) |
    bit(entry.exclusive, 56n) |
    bit(entry.softDirty, 55n) |
    (entry.pfn ?? 0n)
  );
}

describe("pagemap", () => {
  it("decodes every bit it names and ignores the others", () => {
    const unnamed = (1n << 59n) | (1n << 60n);
    const frame = (1n << 55n) - 1n;
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (word) => {
        const entry = decodePagemap(word);
        const kept = entry.present ? word & ~unnamed : word & ~unnamed & ~frame;
        assert.equal(encode(entry), kept);
      }),
    );
  });

  it("gives a frame number only for a present page", () => {
    assert.equal(decodePagemap((1n << 63n) | 0x1234n).pfn, 0x1234n);
    assert.equal(decodePagemap((1n << 62n) | 0x1234n).pfn, undefined);
    assert.equal(decodePagemap(1n << 63n).pfn, undefined);
  });

  it("reads present pages of this process", () => {
    const mappings = readMaps(process.pid);
    const stack = mappings.find(({ path }) => path === "[stack]");
    assert.ok(stack);
    const last = hva(stack.end - 4096n);
    assert.equal(mappingAt(mappings, last)?.path, "[stack]");
    const [entry, ...more] = readPagemap(process.pid, last, 1);
    assert.equal(more.length, 0);
    assert.equal(entry?.present, true);
    assert.equal(entry?.file, false);
  });

  it("reads single words alike, as an entry and as a number", () => {
    using reader = new PagemapReader(process.pid);
    const seen = new Set<string>();
    for (const { path, start, end } of readMaps(process.pid)) {
      if (path === "[vsyscall]") continue;
      for (
        let address = start;
        address < end && address < start + 32n * 4096n;
        address = hva(address + 4096n)
      ) {
        const frame = reader.frameAt(Number(address / 4096n));
        const entry = reader.at(address);
        // Whether it is present may change between the two, though hardly here.
        if (frame === "absent" && entry?.present === true) continue;
        assert.equal(frame, entry?.present === true ? numberOf(entry.pfn) : "absent", `${path} ${address}`);
        seen.add(typeof frame);
      }
    }
    assert.ok(seen.has("string") && seen.size > 1, "pages that are there, and pages that are not");
    assert.equal(reader.frameAt(2 ** 45), undefined, "past the end");
  });

  it("refuses a range it cannot read", () => {
    const bad: [bigint, number][] = [
      [1n, 1],
      [0n, 0],
      [0n, 1.5],
      [0n, 1_048_577],
      [(1n << 57n) - 4096n, 2],
    ];
    for (const [start, count] of bad) {
      assert.throws(() => readPagemap(process.pid, hva(start), count), { code: "HM_PAGEMAP_RANGE" });
    }
  });
});

function numberOf(frame: bigint | undefined): number | undefined {
  return frame === undefined ? undefined : Number(frame);
}
