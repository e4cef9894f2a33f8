/**
 * The same deaths with pages of 1 GiB: a fill takes a second and 511 joins follow, while threads read all of it and write to it. One guard dies
 * after the other, each further on than the one before. A machine that has no pages of 1 GiB to give fails this test.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PublicEvent } from "../../src/ledger/events.js";
import { lazySwapSteps } from "../../src/recovery/lazy-swap.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched, joinedBytes, overlaysIn, untilUntraced } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import type { DriverInput } from "./drivers/driver-options.js";

const GIGABYTE = 2 ** 30;
const RANGE = 2 * 1024 * 1024;
const LOST = [536_870_912 + 4096];
/** All but the one with the lost page. */
const RANGES = 511;
/** The kernel may lack a free page of 2 MiB here and there. */
const ENOUGH = 450;
const PAGES = 3;

/** Where one guard dies. */
interface Death {
  readonly step: string;
  /** At which occurrence of the step. */
  readonly after?: number;
}

/** Before the replacement is in place. */
const before: readonly Death[] = lazySwapSteps
  .filter((step) => !step.startsWith("mov"))
  .map((step) => ({ step }));

/** Of one large page each: what a guard has got done when it dies, the next one does not do again. */
const lives: readonly (readonly Death[])[] = [
  [
    { step: "moving" },
    { step: "fill-unwatched" },
    { step: "range-joined" },
    { step: "range-joined", after: 256 },
    { step: "range-joined", after: RANGES },
    { step: "fill-full" },
    { step: "fill-recorded" },
    { step: "fill-closed" },
  ],
  [{ step: "moved" }],
  [{ step: "fill-begun" }],
];

type Filled = Extract<PublicEvent, { event: "filled" }>;

function joined(ram: RamVictim, page: number): number {
  return joinedBytes(ram.pid, ram.at(page), GIGABYTE) / RANGE;
}

/** @param filled what a guard has said of a page */
function assertLarge(ram: RamVictim, page: number, filled: Filled | undefined): void {
  const { large, salvagedBytes } = filled ?? assert.fail(`page ${page} was filled`);
  assert.equal(salvagedBytes, GIGABYTE - LOST.length * 4096);
  assert.equal(large.ranges, RANGES);
  assert.ok(large.collapsed >= ENOUGH, `${large.collapsed} of ${RANGES} ranges are large again`);
  assert.equal(joined(ram, page), large.collapsed);
}

async function die(
  ram: RamVictim,
  input: DriverInput,
  { step, after = 1 }: Death,
  page?: number,
): Promise<GuardProcess> {
  await using guard = GuardProcess.launch({ ...input, killAt: step, killAfter: after });
  if (page !== undefined) {
    await guard.waitFor("ready");
    await ram.poison(page);
  }
  await guard.diesAtStep();
  await untilUntraced(ram.pid);
  return guard;
}

describe("guards of a page of 1 GiB", () => {
  it("that are killed with -9 at each step, until one is left alone", async (test) => {
    await using ram = await RamVictim.start(PAGES, { pageSize: GIGABYTE });
    using ledger = new TemporaryFolder();
    const input: DriverInput = { pid: ram.pid, ledger: ledger.path, lost: LOST };
    await ram.victim.ask("scribble 1");
    await ram.victim.ask("hammer 2");
    for (const death of before) {
      await die(ram, input, death, 0);
      // A guard that found a thread at the error when it starts would have no spare for it yet, and fill eagerly.
      assert.equal(await ram.victim.ask("remap 0"), "remap done");
    }
    const told: Filled[] = [];
    for (const [page, deaths] of lives.entries()) {
      for (const [index, death] of deaths.entries()) {
        const begun = performance.now();
        const { step, after = 1 } = death;
        const guard = await die(ram, input, death, index === 0 ? page : undefined);
        told.push(...guard.all("filled"));
        const large = joined(ram, page);
        // The fill thread has stood there until the guard was dead.
        if (step === "fill-unwatched") assert.equal(large, 0);
        if (step === "range-joined") assert.ok(large <= after && large > after - (RANGES - ENOUGH));
        const ms = (performance.now() - begun).toFixed(0);
        test.diagnostic(`${step} ${after}: ${large} ranges are large after ${ms} ms`);
      }
    }
    await using last = await GuardProcess.start(input);
    // What the one before it has half filled, and its own.
    await last.waitFor("filled", 2);
    told.push(...last.all("filled"));
    await ram.checkAll(Object.fromEntries(lives.map((_, page) => [page, LOST.length])));
    assert.equal(overlaysIn(ram.pid), PAGES);
    const { reads = 0, writes = 0, corrupt } = await ram.victim.counts("calm");
    test.diagnostic(`${reads} reads, ${writes} writes`);
    assert.ok(reads > 0 && writes > 0);
    assert.equal(corrupt, 0);
    for (let page = 0; page < PAGES; page++)
      assertLarge(
        ram,
        page,
        told.findLast(({ hva }) => BigInt(hva) === ram.at(page)),
      );
    await last.stop();
    await ram.check(2, LOST.length);
    await assertUntouched(ram.pid);
    assert.deepEqual(await ram.victim.quit(), { code: 0, signal: null });
  });
});
