import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { nextLife } from "./page-life.js";
import { owedParts, owesLargePage, settle, unsettled, violations } from "./page-life-rules.js";
import { type LifeEvent, type LifeFlaws, newPage, type PageLife } from "./page-life-state.js";

const events: readonly LifeEvent[] = [
  ...[0, 1].flatMap((part): LifeEvent[] => [
    { kind: "error", part },
    { kind: "touch", part },
    { kind: "store", part },
  ]),
  { kind: "transfer-begins" },
  { kind: "transfer-ends" },
  { kind: "operator-stops" },
  { kind: "operator-resumes" },
  { kind: "reset" },
  { kind: "guard-starts" },
  { kind: "guard-dies" },
  { kind: "step" },
  { kind: "fail" },
];

/** @returns what is wrong after an event */
function judge(
  page: PageLife,
  event: LifeEvent,
  flaws: LifeFlaws,
): { page: PageLife; wrong: string[] } | undefined {
  const next = nextLife(page, event, flaws);
  return next === undefined ? undefined : { page: next.page, wrong: violations(next.page, next.seen) };
}

/** @returns what is wrong with a state once all is quiet */
function judgeEnd(page: PageLife, flaws: LifeFlaws): string[] {
  const rest = settle(page, flaws);
  return [
    ...violations(rest.page, rest.seen),
    ...unsettled(rest.page),
    ...(owesLargePage(page) && rest.page.mapped === "small" ? ["a reset is forgotten"] : []),
    ...owedParts(page).flatMap((owed, part) =>
      owed && rest.page.mapped === "small" && rest.page.lost[part] === true
        ? [`part ${part} stays lost`]
        : [],
    ),
  ];
}

/** Walks every state that at most `writes` writes can reach. @returns how many, and the first that is wrong */
function explore(flaws: LifeFlaws, writes: number): { states: number; wrong: string[]; path: string[] } {
  const start = JSON.stringify(newPage);
  const from = new Map<string, { before: string; event: string }>([[start, { before: "", event: "" }]]);
  const queue: PageLife[] = [newPage];
  for (let page = queue.shift(); page !== undefined; page = queue.shift()) {
    const here = JSON.stringify(page);
    for (const event of events) {
      const result = judge(page, event, flaws);
      if (result === undefined || Math.max(...result.page.written) > writes) continue;
      const there = JSON.stringify(result.page);
      const { wrong } = result;
      if (!from.has(there)) {
        from.set(there, { before: here, event: nameOf(event) });
        queue.push(result.page);
        wrong.push(...judgeEnd(result.page, flaws));
      }
      if (wrong.length > 0) return { states: from.size, wrong, path: [...pathTo(from, here), nameOf(event)] };
    }
  }
  return { states: from.size, wrong: [], path: [] };
}

function nameOf(event: LifeEvent): string {
  return "part" in event ? `${event.kind} ${event.part}` : event.kind;
}

function pathTo(from: ReadonlyMap<string, { before: string; event: string }>, state: string): string[] {
  const { before, event } = from.get(state) ?? { before: "", event: "" };
  return before === "" ? [] : [...pathTo(from, before), event];
}

describe("the life of a large page", () => {
  it("is right in every state that three writes can reach", (test) => {
    const { states, wrong, path } = explore({}, 3);
    assert.deepEqual(wrong, [], path.join(", "));
    test.diagnostic(`${states} states`);
    assert.ok(states > 1000, `${states} states`);
  });

  it("is right after any sequence of events", () => {
    const sequence = fc.array(fc.constantFrom(...events), { maxLength: 80 });
    fc.assert(
      fc.property(sequence, (all) => {
        let page = newPage;
        for (const event of all) {
          const result = judge(page, event, {});
          if (result === undefined) continue;
          assert.deepEqual([...result.wrong, ...judgeEnd(result.page, {})], []);
          page = result.page;
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("ends with small pages and exactly the bad part lost, if nothing else happens", () => {
    let page = newPage;
    for (const event of [
      { kind: "guard-starts" },
      { kind: "error", part: 1 },
      { kind: "touch", part: 0 },
    ] as const) {
      page = nextLife(page, event)?.page ?? page;
    }
    const { page: end, seen } = settle(page);
    assert.equal(end.mapped, "small");
    assert.deepEqual(end.lost, [false, true]);
    assert.deepEqual(seen, [{ kind: "read", part: 0, version: 0 }]);
  });

  const flaws: readonly (readonly [LifeFlaws, RegExp])[] = [
    [{ neverPauses: true }, /gave version/],
    [{ pausesUnrecorded: true }, /nobody can know|stays paused by us/],
    [{ marksLate: true }, /raises no signal/],
    [{ keepsThread: true }, /stands for ever/],
    [{ forgetsReset: true }, /a reset is forgotten/],
    [{ zerosAll: true }, /gave version/],
    [{ clearsNothing: true }, /stays lost/],
  ];
  for (const [flaw, expected] of flaws) {
    it(`would be found wrong: ${Object.keys(flaw).join()}`, () => {
      const { wrong } = explore(flaw, 3);
      assert.match(wrong.join("; "), expected);
    });
  }
});
