import assert from "node:assert/strict";
import { expectAlive, expectLoss, untilTold } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { hex } from "../victim.js";
import { usualVictim } from "../victim-config.js";

/** What the guest's own log says. */
export const exactAddress: Scenario = {
  name: "exact-address",
  summary:
    "the guest's machine check log names the lost 4 KiB and no other: untouched and touched, one and three in a large page",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    await lab.victim.checker.pollMachineChecks(1);
    const large = await lab.victim.ownLargePages(2);
    const [one = 0, two = 0] = large.map(({ gpa }) => gpa);
    const single = one + 17 * 4096;
    const three = [0, 300, 511].map((page) => two + page * 4096);

    await lab.victim.poison([single]);
    await untilTold(lab, [single]);
    // QEMU is told of the first error of a large page only: the kernel calls the others known already.
    await lab.victim.poison(three);
    await untilTold(lab, [single, ...three.slice(0, 1)]);

    const bad = [single, ...three];
    const seen = await expectLoss(lab, guard, bad, { recoveries: 2 });
    const records = await exceptionAddresses(lab);
    assert.ok(records.length >= 2, "the pages that QEMU was not told of come by exception");
    for (const address of records) assert.ok(bad.map(hex).includes(address), `${address} is not lost`);
    await expectAlive(lab);
    return `${seen}; the guest's log names ${bad.map(hex).join(", ")}`;
  },
};

/** `ADDR 7811000` of each exception in the log, once. */
async function exceptionAddresses(lab: LabSession): Promise<string[]> {
  const log = await lab.victim.checker.machineCheckLog();
  const found = log.flatMap((line) => {
    const address = / ADDR ([0-9a-f]+)/.exec(line)?.[1];
    return address === undefined ? [] : [`0x${address}`];
  });
  return [...new Set(found)].sort();
}
