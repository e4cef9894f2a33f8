import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva, pfn } from "../../linux/address.js";
import { BadFrames } from "./bad-frames.js";

const LARGE = 2 ** 21;

describe("BadFrames", () => {
  it("gives offsets in the large page, ascending, each once", () => {
    const bad = new BadFrames();
    const base = hva(0x7f0000000000n);
    for (const frame of [0x145ff, 0x14400, 0x145ff]) bad.note(base, pfn(frame));
    assert.deepEqual(bad.in(base, LARGE), [0, 511 * 4096]);
    assert.deepEqual(bad.in(hva(base + BigInt(LARGE)), LARGE), []);
  });
  it("gives them for a page of 1 GiB too", () => {
    const bad = new BadFrames();
    bad.note(hva(0n), pfn(0x40000 + 77));
    assert.deepEqual(bad.in(hva(0n), 2 ** 30), [77 * 4096]);
  });
  it("forgets the oldest in a flood", () => {
    const bad = new BadFrames();
    for (let page = 0; page < 2000; page += 1) bad.note(hva(BigInt(page * LARGE)), pfn(page * 512));
    assert.deepEqual(bad.in(hva(0n), LARGE), []);
    assert.deepEqual(bad.in(hva(BigInt(1999 * LARGE)), LARGE), [0]);
  });
});
