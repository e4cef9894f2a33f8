import assert from "node:assert/strict";
import {
  describe,
  expectAlive,
  expectFillReasons,
  expectMachineChecks,
  expectOnlyLost,
  expectRecovered,
} from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import type { Scenario } from "../scenario.js";
import { gigVictim, usualVictim, type VictimConfig } from "../victim-config.js";
import { confinedVictim } from "./other-machines.js";

const GIB = 2 ** 30;
/** A page of 1 GiB takes minutes to fill under emulation. */
const FILL_MS = 420_000;

async function expectFilled(guard: LabGuard, count: number, pageSize: number, lost: number): Promise<void> {
  const filled = await guard.waitForCount("filled", count, FILL_MS);
  for (const event of filled) assert.equal(event["pageSize"], pageSize);
  const saved = filled.reduce((sum, event) => sum + Number(event["salvagedBytes"]), 0);
  assert.equal(saved, count * pageSize - lost * 4096, "bytes saved by the fills");
}

function lazyOn(victim: VictimConfig, name: string, summary: string): Scenario {
  return {
    name,
    summary,
    victim,
    async run(lab) {
      const guard = await lab.guard(["--fill", "lazy"]);
      const large = await lab.victim.ownLargePages(2);
      const [first, second] = large.map(({ gpa }) => gpa);
      const bad = [(first ?? 0) + 256 * 4096, second ?? 0, (second ?? 0) + 511 * 4096];
      await lab.victim.poison(bad);
      const result = await lab.victim.checker.check();
      expectOnlyLost(result, bad);
      const recovered = await guard.waitForCount("recovered", 2);
      assert.ok(
        recovered.some(({ fill }) => fill === "lazy"),
        "at least one of two errors at once finds the spare region ready",
      );
      const lazy = recovered.filter(({ fill }) => fill === "lazy").length;
      await expectFillReasons(
        lab,
        recovered.map(({ fill }) => (fill === "lazy" ? /^--fill is lazy$/ : /spare region is not ready yet/)),
      );
      await guard.waitForCount("filled", lazy, FILL_MS);
      await expectMachineChecks(lab, bad);
      await expectAlive(lab);
      return `${describe(result)}; ${lazy} of 2 large pages filled lazily`;
    },
  };
}

/** The replacement is put in place empty, and filled while the guest runs. */
export const lazy: Scenario = lazyOn(
  usualVictim,
  "lazy",
  "large pages are filled after they are replaced, while the guest reads them: exactly the bad 4 KiB are lost",
);

/** The userfaultfd comes through a socket, for QEMU may not open one for the kernel's faults. */
export const lazyConfined: Scenario = {
  ...lazyOn(
    { ...confinedVictim },
    "lazy-confined",
    "the same with QEMU as an ordinary user in its seccomp sandbox",
  ),
  onlyInAll: true,
};

/** Whoever needs what is missing waits for the next guard. */
export const lazyKilled: Scenario = {
  name: "lazy-killed",
  summary:
    "the guard dies while a replacement is all but empty, the guest reads it: it waits, a new guard fills it, exactly one page is lost",
  victim: usualVictim,
  async run(lab) {
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    const first = await lab.guard(["--fill", "lazy", "--fill-rate", "0"]);
    await lab.victim.poison(bad);
    const [recovered] = await first.waitForCount("recovered", 1);
    assert.equal(recovered?.["fill"], "lazy");
    first.kill(9);
    assert.equal((await first.ended()).code, 137, "exit code of the killed guard");
    assert.deepEqual(first.all("filled"), []);
    const checked = lab.victim.checker.check();
    const second = await lab.guard(["--fill", "lazy"]);
    const result = await checked;
    expectOnlyLost(result, bad);
    await expectFilled(second, 1, 2 ** 21, 1);
    await expectMachineChecks(lab, bad);
    await expectAlive(lab);
    return describe(result);
  },
};

/** All of the guest's RAM is one large page: its kernel runs on what has been filled so far. */
export const gigLazy: Scenario = {
  name: "gig-lazy",
  onlyInAll: true,
  summary:
    "RAM on 1 GiB pages, filled while the guest runs: one 4 KiB of 262,144 is lost, no pause for the copy, 511 of 512 ranges are large again; given back, the kernel keeps the bad page",
  victim: gigVictim,
  async run(lab) {
    const guard = await lab.guard(["--give-back"]);
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 77 * 4096];
    await lab.victim.poison(bad);
    const recovered = await guard.waitForCount("recovered", 1, 240_000);
    assert.equal(recovered[0]?.["fill"], "lazy");
    await expectFillReasons(lab, [/^too large to be copied at once$/]);
    assert.equal(recovered[0]?.["pageSize"], GIB);
    expectRecovered(recovered, bad);
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    await expectFilled(guard, 1, GIB, 1);
    const again = await lab.victim.checker.check();
    expectOnlyLost(again, bad);
    await expectMachineChecks(lab, bad);
    await expectAlive(lab);
    const returned = await guard.waitFor("returned");
    assert.deepEqual(
      [returned["pageSize"], returned["bytes"]],
      [GIB, 0],
      "what is given back, and what the host gains",
    );
    const [filled] = guard.all("filled");
    // All ranges of 2 MiB but the one with the lost page.
    assert.deepEqual(filled?.["large"], { ranges: 511, collapsed: 511 }, "ranges that are large pages again");
    return `1 of ${GIB / 4096} pages lost; ms: ${JSON.stringify(recovered[0]?.["ms"])}, large again: ${JSON.stringify(filled?.["large"])}, emulated`;
  },
};
