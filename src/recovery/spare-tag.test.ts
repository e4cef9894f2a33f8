import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../linux/address.js";
import { decodeTag, encodeTag, isTagPath, type SpareTag, TAG_SIZE } from "./spare-tag.js";

const address = fc.bigInt({ min: 0n, max: (1n << 57n) - 1n });
const sizes = fc.constantFrom(2 ** 21, 2 ** 30, 2 ** 34);
const device = fc
  .tuple(fc.nat(4095), fc.nat(255))
  .map((parts) => parts.map((one) => one.toString(16)).join(":"));
const tags: fc.Arbitrary<SpareTag> = fc
  .record({
    size: sizes,
    descriptor: fc.option(fc.nat(1_000_000)),
    page: fc.option(fc.record({ base: address.map(hva), offset: address, device, inode: address })),
  })
  .map(({ size, descriptor, page }) => ({
    size,
    descriptor,
    page: page === null ? null : { ...page, size },
  }));

describe("the tag of a spare region", () => {
  it("reads as it was written", () => {
    fc.assert(
      fc.property(tags, (tag) => {
        const bytes = encodeTag(tag);
        assert.equal(bytes.length, TAG_SIZE);
        // A reader takes the first 512 bytes.
        assert.deepEqual(decodeTag(bytes.subarray(0, 512)), tag);
      }),
    );
  });
  it("is a tag or none, whatever it holds", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
        const tag = decodeTag(Buffer.from(bytes));
        assert.ok(tag === undefined || tag.size >= 2 ** 21);
      }),
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        assert.equal(decodeTag(Buffer.from(text)), undefined);
      }),
    );
  });
  it("is known by the name of its file", () => {
    assert.ok(isTagPath("/memfd:hugemend-spare (deleted)"));
    assert.ok(!isTagPath("/memfd:hugemend-spare2 (deleted)"));
    assert.ok(!isTagPath("/tmp/hugemend-spare"));
  });
});
