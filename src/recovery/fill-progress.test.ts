import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FillProgress, newProgress } from "./fill-progress.js";
import { SMALL_PAGE } from "./large-page.js";

const PAGES = 64;

/** What one of several threads may note. */
const notes = fc.oneof(
  fc.record({
    kind: fc.constant("present"),
    page: fc.nat(PAGES - 1),
    count: fc.integer({ min: 1, max: 16 }),
  }),
  fc.record({ kind: fc.constant("lost"), page: fc.nat(PAGES - 1), count: fc.constant(1) }),
);

describe("FillProgress", () => {
  it("knows what is missing, and each lost page that anybody has noted, whatever the order", () => {
    fc.assert(
      fc.property(fc.array(notes, { maxLength: 60 }), fc.nat(PAGES - 1), (all, from) => {
        const shared = newProgress(PAGES * SMALL_PAGE);
        const views = [new FillProgress(shared), new FillProgress(shared)] as const;
        const settled = new Set<number>();
        const lost = new Set<number>();
        all.forEach(({ kind, page, count }, index) => {
          const view = views[index % 2 === 0 ? 0 : 1];
          const last = Math.min(page + count, PAGES);
          if (kind === "lost") {
            view.noteLost(page);
            lost.add(page);
          } else view.notePresent(page, last - page);
          for (let one = page; one < last; one += 1) settled.add(one);
        });
        const [view] = views;
        const missing = Array.from({ length: PAGES }, (_, page) => page).filter((page) => !settled.has(page));
        assert.deepEqual(
          view.lost,
          [...lost].sort((left, right) => left - right).map((page) => page * SMALL_PAGE),
        );
        assert.equal(view.complete, missing.length === 0);
        assert.equal(view.nextMissing(from), missing.find((page) => page >= from) ?? missing[0] ?? -1);
        for (const page of missing) assert.ok(!view.isSettled(page));
        for (const page of settled) assert.equal(view.missingFrom(page, PAGES), 0);
      }),
    );
  });

  it("tells once where to go on", () => {
    const shared = newProgress(PAGES * SMALL_PAGE);
    const progress = new FillProgress(shared);
    assert.equal(progress.takeNext(), undefined);
    new FillProgress(shared).goOnAt(7);
    assert.equal(progress.takeNext(), 7);
    assert.equal(progress.takeNext(), undefined);
  });

  it("goes from the end to the beginning, also when the last page was the one that was needed", () => {
    const progress = new FillProgress(newProgress(PAGES * SMALL_PAGE));
    progress.notePresent(PAGES - 1, 1);
    assert.equal(progress.nextMissing(PAGES), 0);
    assert.equal(progress.missingFrom(60, 16), 3);
  });

  it("shares that a part is no longer mapped", () => {
    const shared = newProgress(PAGES * SMALL_PAGE);
    new FillProgress(shared).noteTorn();
    assert.ok(new FillProgress(shared).torn);
  });
});
