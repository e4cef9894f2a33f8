import assert from "node:assert/strict";
import {
  expectAlive,
  expectFillReasons,
  expectMachineChecks,
  expectOnlyLost,
  expectRecovered,
} from "../expect.js";
import type { Scenario } from "../scenario.js";
import { gigVictim } from "../victim-config.js";

const GIB = 2 ** 30;

/** All of the guest's RAM is one large page, so its kernel stands still too until it is replaced. */
export const gig: Scenario = {
  name: "gig",
  onlyInAll: true,
  summary: "RAM on 1 GiB pages, filled before it is put in place: one 4 KiB of 262,144 is lost",
  victim: gigVictim,
  async run(lab) {
    const guard = await lab.guard(["--fill", "eager"]);
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 77 * 4096];
    await lab.victim.poison(bad);
    const [recovered] = await guard.waitForCount("recovered", 1, 240_000);
    expectRecovered([recovered ?? { event: "" }], bad);
    assert.equal(recovered?.["fill"], "eager");
    await expectFillReasons(lab, [/^--fill is eager$/]);
    assert.equal(recovered?.["pageSize"], GIB);
    assert.equal(recovered?.["salvagedBytes"], GIB - 4096);
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    await expectMachineChecks(lab, bad);
    await expectAlive(lab);
    return `1 of ${GIB / 4096} pages lost; ${result.ok} of the guest program's checked; ms: ${JSON.stringify(recovered?.["ms"])}, emulated`;
  },
};
