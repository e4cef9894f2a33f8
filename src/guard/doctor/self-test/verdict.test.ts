import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { describeRuns, type Seen, type SeenRun, verdictOf } from "./verdict.js";

const bad = 256;
const run = (seen: Seen, pages: number): SeenRun => ({ seen, pages });

describe("the self-test's verdict", () => {
  it("knows each row of the kernel table", () => {
    const rows: readonly (readonly [string, readonly SeenRun[]])[] = [
      ["ok", [run("right", 256), run("error", 1), run("right", 255)]],
      ["all-eio", [run("error", 512)]],
      ["drops", [run("zeros", 512)]],
      // The poison itself was read.
      ["broken", [run("right", 512)]],
      // Another page, more than one, or two of them.
      ["broken", [run("right", 255), run("error", 1), run("right", 256)]],
      ["broken", [run("right", 256), run("error", 2), run("right", 254)]],
      ["broken", [run("right", 256), run("error", 1), run("right", 1), run("error", 1), run("right", 253)]],
      ["broken", [run("right", 256), run("error", 1), run("zeros", 255)]],
      ["broken", [run("zeros", 256), run("error", 1), run("zeros", 255)]],
      ["broken", [run("right", 256), run("error", 1), run("right", 254), run("wrong", 1)]],
      ["broken", [run("wrong", 512)]],
      ["broken", []],
    ];
    for (const [verdict, runs] of rows) assert.equal(verdictOf({ runs, bad }), verdict, describeRuns(runs));
  });

  it("is ok for exactly one reading of a large page", () => {
    const seen = fc.constantFrom<Seen>("right", "error", "zeros", "wrong");
    const pages = fc.array(seen, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(pages, fc.nat(7), (all, place) => {
        const exact = all.every((one, page) => one === (page === place ? "error" : "right"));
        const expected = exact && place < all.length && all.length > 1;
        const runs = all.map((one) => run(one, 1));
        assert.equal(verdictOf({ runs, bad: place }) === "ok", expected);
      }),
    );
  });
});
