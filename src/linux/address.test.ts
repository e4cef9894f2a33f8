import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { alignDown, alignUp, gpa, hex, hva, pfn } from "./address.js";
import { LinuxError } from "./linux-error.js";

const LIMIT = 2n ** 64n;

describe("addresses", () => {
  for (const make of [hva, gpa, pfn]) {
    it(`${make.name} holds 64 bits and no more`, () => {
      assert.equal(make(0), 0n);
      assert.equal(make(LIMIT - 1n), LIMIT - 1n);
      for (const wrong of [-1n, LIMIT, -LIMIT]) {
        assert.throws(
          () => make(wrong),
          (error) => error instanceof LinuxError && error.code === "HM_ADDRESS_RANGE",
        );
      }
    });
  }
  it("are written in lower-case hexadecimal", () => {
    assert.equal(hex(0n), "0x0");
    assert.equal(hex(0x7f12a0000000n), "0x7f12a0000000");
  });
  it("are rounded to a power of two", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: LIMIT - 1n }), fc.integer({ min: 0, max: 40 }), (value, bits) => {
        const size = 2 ** bits;
        const base = alignDown(hva(value), size);
        assert.equal(base % BigInt(size), 0n);
        assert.ok(base <= value && value - base < BigInt(size));
        const next = alignUp(value, size);
        assert.equal(next % BigInt(size), 0n);
        assert.ok(next >= value && next - value < BigInt(size));
      }),
    );
  });
});
