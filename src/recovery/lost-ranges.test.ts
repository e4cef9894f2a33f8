import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { lostRanges } from "./lost-ranges.js";

describe("lostRanges", () => {
  it("joins neighbours only", () => {
    assert.deepEqual(lostRanges([]), []);
    assert.deepEqual(lostRanges([0]), [{ offset: 0, bytes: 4096 }]);
    assert.deepEqual(lostRanges([0, 4096, 8192, 16384]), [
      { offset: 0, bytes: 12288 },
      { offset: 16384, bytes: 4096 },
    ]);
    assert.deepEqual(lostRanges([2093056]), [{ offset: 2093056, bytes: 4096 }]);
  });
  it("covers exactly what is lost, in order, with a gap between any two", () => {
    const losses = fc
      .uniqueArray(fc.integer({ min: 0, max: 511 }))
      .map((pages) => pages.sort((left, right) => left - right).map((index) => index * 4096));
    fc.assert(
      fc.property(losses, (lost) => {
        const ranges = lostRanges(lost);
        const covered = ranges.flatMap(({ offset, bytes }) =>
          Array.from({ length: bytes / 4096 }, (_, index) => offset + index * 4096),
        );
        assert.deepEqual(covered, lost);
        ranges.reduce((end, { offset, bytes }) => {
          assert.ok(offset > end);
          return offset + bytes;
        }, -1);
      }),
    );
  });
});
