import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva } from "../linux/address.js";
import type { Mapping } from "../linux/procfs/maps.js";
import { type SpareTag, TAG_SIZE } from "./spare-tag.js";
import { unusedRegion } from "./unused-region.js";

const SIZE = 2 * 2 ** 20;
const AT = 0x7f0000000000n;
const base = { read: true, write: true, execute: false, shared: false, offset: 0n, device: "00:00" };

function mapping(start: bigint, size: number, more: Partial<Mapping> = {}): Mapping {
  return { ...base, start: hva(start), end: hva(start + BigInt(size)), inode: 0n, path: "", ...more };
}

const tag = mapping(AT, TAG_SIZE, { shared: true, inode: 5n, path: "/memfd:hugemend-spare (deleted)" });
const behind = mapping(AT + BigInt(TAG_SIZE), SIZE);
const page = { base: hva(0x7e0000000000n), size: SIZE, offset: 0n, device: "00:0f", inode: 7n };
const waiting: SpareTag = { size: SIZE, descriptor: null, page: null };
const used: SpareTag = { ...waiting, page };
const lazy: SpareTag = { ...used, descriptor: 9 };
const none = (): undefined => undefined;
const flags = (text: string) => (): ReadonlySet<string> => new Set(text.split(" "));

describe("unusedRegion", () => {
  it("takes a region that has not been lent, whatever it carries", () => {
    assert.equal(unusedRegion(tag, behind, waiting, none), BigInt(SIZE));
  });
  it("takes one that was about to move only if it carries what regions carry", () => {
    for (const [says, text, ours] of [
      [used, "rd wr mr mw me dc nr sd nh", true],
      [lazy, "rd wr mr mw me dc nr um", true],
      // Memory of QEMU's in the place that a region has left.
      [used, "rd wr mr mw me ac sd", false],
      [used, "rd wr mr mw me dc dd hg", false],
      [used, "rd wr mr mw me dc dd nr", false],
      [lazy, "rd wr mr mw me dc nr nh", false],
      [lazy, "rd wr mr mw me um", false],
    ] as const) {
      assert.equal(unusedRegion(tag, behind, says, flags(text)), ours ? BigInt(SIZE) : 0n, text);
    }
    assert.equal(unusedRegion(tag, behind, used, none), 0n, "its flags cannot be read");
  });
  it("takes nothing that lies elsewhere, is of another size or kind, or of which the tag says nothing", () => {
    const wrong: readonly (Mapping | undefined)[] = [
      undefined,
      mapping(behind.start + 4096n, SIZE),
      mapping(behind.start, SIZE + 4096),
      { ...behind, shared: true },
      { ...behind, path: "[heap]" },
      { ...behind, inode: 8n },
    ];
    for (const next of wrong) assert.equal(unusedRegion(tag, next, waiting, none), 0n);
    assert.equal(unusedRegion(tag, behind, undefined, none), 0n);
  });
  it("takes nothing behind a tag that still covers the place of its region", () => {
    const whole = mapping(AT, TAG_SIZE + SIZE, {
      ...tag,
      start: hva(AT),
      end: hva(AT + 4096n + BigInt(SIZE)),
    });
    const next = mapping(whole.end, SIZE);
    assert.equal(unusedRegion(whole, next, waiting, none), 0n);
  });
});
