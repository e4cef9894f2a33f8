import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva } from "../linux/address.js";
import { type Mapping, mappingAt } from "../linux/procfs/maps.js";
import { type Classification, classifyAddress, findOverlays } from "./classify.js";
import { overlayName } from "./overlay-name.js";

const MIB = 0x100000n;
const LARGE = 2 * 2 ** 20;
const RAM = 0x7f0000000000n;

function mapping(start: bigint, size: bigint, more: Partial<Mapping> = {}): Mapping {
  return {
    start: hva(start),
    end: hva(start + size),
    read: true,
    write: true,
    execute: false,
    shared: true,
    offset: 0n,
    device: "00:0f",
    inode: 7n,
    path: "/memfd:ram (deleted)",
    ...more,
  };
}

const ram = mapping(RAM, 16n * MIB, { offset: 4n * MIB });
const heap = mapping(0x555500000000n, MIB, { inode: 0n, device: "00:00", path: "[heap]", shared: false });
const all = [heap, ram];
const sizes = (one: Mapping): number | undefined => (one.inode === 7n ? LARGE : undefined);

function classified(mappings: readonly Mapping[], address: bigint): Classification {
  return classifyAddress(mappingAt(mappings, hva(address)), hva(address), sizes);
}

describe("classifyAddress", () => {
  it("finds the large page around any of its bytes", () => {
    for (const inside of [0n, 1n, 4096n, 2n * MIB - 1n]) {
      const found = classified(all, RAM + 6n * MIB + inside);
      assert.equal(found.kind, "large-page");
      if (found.kind !== "large-page") return;
      assert.equal(found.page.base, RAM + 6n * MIB);
      assert.equal(found.page.size, LARGE);
      // Offset in the file: where the mapping begins there, and the way from its start.
      assert.equal(found.page.offset, 10n * MIB);
      assert.deepEqual([found.page.device, found.page.inode, found.page.mapping], ["00:0f", 7n, ram]);
    }
  });
  it("finds first and last page of a mapping, and nothing behind it", () => {
    const kind = (address: bigint): string => classified(all, address).kind;
    assert.equal(kind(RAM), "large-page");
    assert.equal(kind(RAM + 16n * MIB - 1n), "large-page");
    assert.equal(kind(RAM + 16n * MIB), "unmapped");
    assert.equal(kind(RAM - 1n), "unmapped");
    assert.equal(kind(0n), "unmapped");
    assert.equal(kind(heap.start), "other");
  });
  it("calls it other when address, size and mapping do not fit together", () => {
    const crooked = [mapping(RAM + MIB, 2n * MIB), mapping(RAM + 4n * MIB, 2n * MIB, { offset: MIB })];
    assert.equal(classified(crooked, RAM + 2n * MIB).kind, "other");
    assert.equal(classified(crooked, RAM + 5n * MIB).kind, "other");
  });
  it("knows an overlay by its name", () => {
    const page = { base: hva(RAM), size: LARGE, offset: 0n, device: "00:0f", inode: 7n, mapping: ram };
    const overlay = mapping(RAM, 2n * MIB, { inode: 99n, path: `/memfd:${overlayName(page)} (deleted)` });
    const found = classified([overlay], RAM + 5n);
    assert.equal(found.kind, "overlay");
    if (found.kind === "overlay") assert.equal(found.overlay.base, RAM);
  });
});

describe("findOverlays", () => {
  const page = { base: hva(RAM), size: LARGE, offset: 0n, device: "00:0f", inode: 7n, mapping: ram };
  const path = `/memfd:${overlayName(page)} (deleted)`;
  it("tells those in place from those a dead guard has left beside", () => {
    const placed = mapping(RAM, 2n * MIB, { path });
    const stray = mapping(RAM + 64n * MIB, 2n * MIB, { path });
    const found = findOverlays([heap, placed, ram, stray]);
    assert.deepEqual(
      found.placed.map((one) => one.mapping),
      [placed],
    );
    assert.deepEqual(found.stray, [{ start: stray.start, size: 2n * MIB, spare: false }]);
  });
  it("knows each part of one that was split", () => {
    const first = mapping(RAM, MIB, { path });
    const second = mapping(RAM + MIB, MIB, { path, offset: MIB, write: false });
    assert.equal(findOverlays([first, second]).placed.length, 2);
    assert.equal(findOverlays([first, second]).stray.length, 0);
  });
});
