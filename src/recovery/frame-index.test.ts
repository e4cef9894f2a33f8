import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { pfn } from "../linux/address.js";
import { FrameIndex, MOST_PAGES } from "./frame-index.js";

const LARGE = 2 * 1024 * 1024;
const FRAMES = LARGE / 4096;

describe("the frame index", () => {
  it("finds the large page of any of its frames, and of no other", () => {
    const distinct = fc.uniqueArray(fc.nat(2 ** 40), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(distinct, fc.nat(FRAMES - 1), fc.nat(2 ** 40), (numbers, within, other) => {
        const index = new FrameIndex();
        index.ensure("a", LARGE, numbers.length);
        for (const [page, number] of numbers.entries()) index.note("a", page, pfn(number * FRAMES));
        numbers.forEach((number, page) => {
          assert.deepEqual(index.find(pfn(number * FRAMES + within)), {
            file: "a",
            offset: BigInt(page) * BigInt(LARGE),
          });
        });
        if (!numbers.includes(other)) assert.equal(index.find(pfn(other * FRAMES + within)), undefined);
      }),
    );
  });

  it("keeps what it knows when the file grows, and forgets files that are gone", () => {
    const index = new FrameIndex();
    index.ensure("a", LARGE, 2);
    index.note("a", 1, pfn(512));
    index.note("a", 7, pfn(1024));
    index.ensure("a", LARGE, 9);
    index.ensure("b", 2 ** 30, 1);
    index.note("b", 0, pfn(2 ** 30));
    assert.deepEqual(index.find(pfn(600)), { file: "a", offset: BigInt(LARGE) });
    assert.equal(index.find(pfn(1024)), undefined);
    assert.deepEqual(index.find(pfn(2 ** 30 + 262_143)), { file: "b", offset: 0n });
    index.ensure("c", LARGE, MOST_PAGES);
    index.ensure("d", LARGE, 2 ** 45);
    index.note("c", 0, pfn(2 ** 20));
    assert.equal(index.find(pfn(2 ** 20)), undefined, "no room is made for more than can be");
    index.retain(new Set(["b"]));
    assert.equal(index.find(pfn(600)), undefined);
  });
});
