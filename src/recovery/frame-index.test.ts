import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pfn } from "../linux/address.js";
import { FrameIndex, MOST_PAGES } from "./frame-index.js";

const LARGE = 2 * 1024 * 1024;
const FRAMES = LARGE / 4096;
/** Frames of 2 MiB that x86-64 can have: 52 bits of address. */
const MOST_LARGE_FRAMES = 2 ** 31;

describe("the frame index", () => {
  it("finds the large page of any of its frames, and of no other", () => {
    const frame = fc.nat(MOST_LARGE_FRAMES - 1);
    const places = fc.uniqueArray(fc.record({ page: fc.nat(MOST_PAGES - 1), frame }), {
      minLength: 1,
      maxLength: 40,
      comparator: (left, right) => left.page === right.page || left.frame === right.frame,
    });
    fc.assert(
      fc.property(places, fc.nat(FRAMES - 1), frame, (noted, within, other) => {
        const index = new FrameIndex();
        index.ensure("a", LARGE, MOST_PAGES);
        for (const one of noted) index.note("a", one.page, one.frame * FRAMES);
        for (const one of noted)
          assert.deepEqual(index.find(pfn(one.frame * FRAMES + within)), {
            file: "a",
            offset: BigInt(one.page) * BigInt(LARGE),
          });
        if (!noted.some((one) => one.frame === other))
          assert.equal(index.find(pfn(other * FRAMES + within)), undefined);
      }),
    );
  });

  it("knows a large page where it was seen last, and the first and the last frame that can be", () => {
    const index = new FrameIndex();
    index.ensure("a", LARGE, 2);
    index.note("a", 0, 512);
    index.note("a", 0, 1024);
    assert.equal(index.find(pfn(512)), undefined);
    assert.deepEqual(index.find(pfn(1024)), { file: "a", offset: 0n });
    index.note("a", 0, 0);
    index.note("a", 1, (MOST_LARGE_FRAMES - 1) * FRAMES);
    assert.deepEqual(index.find(pfn(511)), { file: "a", offset: 0n });
    assert.deepEqual(index.find(pfn(2 ** 40 - 1)), { file: "a", offset: BigInt(LARGE) });
  });

  it("takes no frame that cannot be one, and confuses none with another", () => {
    const index = new FrameIndex();
    index.ensure("a", LARGE, 8);
    const beyond = 2 ** 32 * FRAMES;
    for (const frame of [-FRAMES, -1, 1, 511, 513, beyond, beyond + FRAMES, Number.NaN])
      index.note("a", 0, frame);
    for (const frame of [0, 1, 512, beyond - FRAMES, beyond, beyond + FRAMES])
      assert.equal(index.find(pfn(frame)), undefined, String(frame));
    // Cut to 32 bits these two would be one.
    index.note("a", 1, FRAMES);
    assert.equal(index.find(pfn(beyond + FRAMES)), undefined);
  });

  it("keeps what it knows when the file grows, and forgets files that are gone", () => {
    const index = new FrameIndex();
    index.ensure("a", LARGE, 2);
    index.note("a", 1, 512);
    index.note("a", 7, 1024);
    index.ensure("a", LARGE, 9);
    index.ensure("b", 2 ** 30, 1);
    index.note("b", 0, 2 ** 30);
    assert.deepEqual(index.find(pfn(600)), { file: "a", offset: BigInt(LARGE) });
    assert.equal(index.find(pfn(1024)), undefined);
    assert.deepEqual(index.find(pfn(2 ** 30 + 262_143)), { file: "b", offset: 0n });
    index.ensure("c", LARGE, MOST_PAGES);
    index.ensure("d", LARGE, 2 ** 45);
    index.note("c", 0, 2 ** 20);
    assert.equal(index.find(pfn(2 ** 20)), undefined, "no room is made for more than can be");
    index.ensure("a", 2 ** 30, 9);
    assert.equal(index.find(pfn(600)), undefined, "other pages, other frames");
    index.retain(new Set(["b"]));
    assert.deepEqual(index.find(pfn(2 ** 30)), { file: "b", offset: 0n });
    index.retain(new Set());
    assert.equal(index.find(pfn(2 ** 30)), undefined);
  });
});
