/** Random sequences on a real process with the real guard, compared with what the model of a large page's life says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nextLife } from "../../src/recovery/page-life.js";
import { settle } from "../../src/recovery/page-life-rules.js";
import { type LifeEvent, newPage, type PageLife, type Seen } from "../../src/recovery/page-life-state.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched, overlaysIn, untilUntraced } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const PAGES = 3;
/** Part 0 of each large page is the one that goes bad, part 1 another. */
const OFFSETS = [4096, 1_048_576] as const;

/** Real steps at which a guard is killed, and how many steps of the model were done before. */
const deaths = [
  ["planned", 1],
  ["overlay-mapped", 1],
  ["salvaged", 2],
  ["lost-marked", 3],
  ["intent-recorded", 4],
  ["swapped", 5],
  ["overlay-closed", 5],
] as const;

type Command =
  | { readonly kind: "error" | "remap"; readonly page: number }
  | { readonly kind: "touch"; readonly page: number; readonly part: 0 | 1 }
  | {
      readonly kind: "dies";
      readonly page: number;
      readonly part: 0 | 1;
      readonly at: (typeof deaths)[number];
    }
  | { readonly kind: "guard-starts" }
  | { readonly kind: "guard-dies" };

const page = fc.integer({ min: 0, max: PAGES - 1 });
const part = fc.constantFrom(0 as const, 1 as const);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("error" as const), page }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("touch" as const), page, part }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("dies" as const), page, part, at: fc.constantFrom(...deaths) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "guard-starts" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "guard-dies" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remap" as const), page }) },
);

/** The model and the process side by side. */
class Pair {
  readonly #ram: RamVictim;
  readonly #ledger: string;
  #pages: PageLife[] = Array.from({ length: PAGES }, () => newPage);
  #guard: GuardProcess | undefined;

  constructor(ram: RamVictim, ledger: string) {
    this.#ram = ram;
    this.#ledger = ledger;
  }

  async play(one: Command): Promise<void> {
    if (one.kind === "guard-starts") return this.#start("");
    if (one.kind === "guard-dies") return this.#die();
    const life = this.#life(one.page);
    const healthy = life.mapped === "large" && !life.bad.includes(true);
    if (one.kind === "error" && healthy) {
      await this.#ram.poison(one.page);
      this.#apply(one.page, { kind: "error", part: 0 });
    } else if (one.kind === "remap") {
      await this.#ram.victim.ask(`remap ${one.page}`);
      this.#pages[one.page] = { ...newPage, work: life.work };
    } else if (one.kind === "touch") {
      await this.#touch(one.page, one.part, undefined);
    } else if (one.kind === "dies" && life.mapped === "large" && !healthy) {
      await this.#die();
      await this.#start(one.at[0]);
      await this.#touch(one.page, one.part, one.at[1]);
      await this.#guard?.diesAtStep();
      this.#guard = undefined;
      for (let other = 0; other < PAGES; other++) {
        if (other !== one.page) this.#apply(other, { kind: "guard-dies" });
      }
    }
    const small = this.#pages.filter(({ mapped }) => mapped === "small").length;
    assert.equal(overlaysIn(this.#ram.pid), small, "large pages replaced");
  }

  /** @param steps how many steps the guard does before it dies; undefined: it finishes */
  async #touch(at: number, which: 0 | 1, steps: number | undefined): Promise<void> {
    const seen = [...this.#apply(at, { kind: "touch", part: which })];
    if (steps === undefined && this.#life(at).work !== "absent") {
      const rest = settle(this.#life(at));
      this.#pages[at] = rest.page;
      seen.push(...rest.seen);
    } else if (steps !== undefined) {
      for (let step = 0; step < steps; step++) seen.push(...this.#apply(at, { kind: "step" }));
      seen.push(...this.#apply(at, { kind: "guard-dies" }));
    }
    const found = await this.#ram.touch(at, OFFSETS[which]);
    const address = this.#ram.at(at, OFFSETS[which]).toString(16);
    const told = seen.at(-1)?.kind === "told";
    assert.equal(found, told ? `lost 2 0x${address} 0` : "ok", JSON.stringify(seen));
  }

  async #start(killAt: string): Promise<void> {
    if (this.#guard !== undefined) return;
    await untilUntraced(this.#ram.pid);
    const lost = [OFFSETS[0]];
    this.#guard = await GuardProcess.start({ pid: this.#ram.pid, ledger: this.#ledger, lost, killAt });
    for (let each = 0; each < PAGES; each++) {
      this.#apply(each, { kind: "guard-starts" });
      // No kernel reports anything here: a page is found bad when it is touched.
      this.#pages[each] = { ...this.#life(each), reported: false };
    }
  }

  async #die(): Promise<void> {
    if (this.#guard === undefined) return;
    await this.#guard.murder();
    this.#guard = undefined;
    for (let each = 0; each < PAGES; each++) this.#apply(each, { kind: "guard-dies" });
  }

  #life(at: number): PageLife {
    return this.#pages[at] ?? newPage;
  }

  #apply(at: number, event: LifeEvent): readonly Seen[] {
    const next = nextLife(this.#life(at), event);
    assert.ok(next !== undefined, `${event.kind} is possible`);
    this.#pages[at] = { ...next.page, reported: false };
    return next.seen;
  }

  /** Ends it all: every byte is what the model says. */
  async finish(): Promise<void> {
    await this.#die();
    // What a guard that died has left beside is removed by the next one.
    await this.#start("");
    await this.#die();
    await assertUntouched(this.#ram.pid);
    for (const [at, life] of this.#pages.entries()) {
      const lost = life.mapped === "small" ? life.lost : life.bad.map(() => life.bad.includes(true));
      await this.#ram.check(
        at,
        life.mapped === "small" ? lost.filter(Boolean).length : lost[0] === true ? 512 : 0,
      );
    }
  }
}

test("a real process fares as the model says, in random sequences of errors, touches and guards' deaths", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 8, maxLength: 25 }), async (all) => {
      await using ram = await RamVictim.start(PAGES);
      using ledger = new TemporaryFolder();
      const pair = new Pair(ram, ledger.path);
      try {
        for (const one of all) await pair.play(one);
      } finally {
        await pair.finish();
      }
    }),
    { numRuns: 8, endOnFailure: true },
  );
});
