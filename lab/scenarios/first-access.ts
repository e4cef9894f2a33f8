import assert from "node:assert/strict";
import type { OwnLargePage } from "../checker.js";
import { expectGuestLost, expectRecovered, expectTriggers } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

const LARGE = 2 ** 21;
const SMALL = 4096;

/** One large page: where it is bad, and which byte of it is accessed first. */
interface Access {
  readonly badPage: number;
  readonly byte: number;
  readonly write?: true;
}

/** Any byte, near or far from the bad ones, the bad ones themselves, the borders of the large page; reads and writes. */
const accesses: readonly Access[] = [
  { badPage: 256, byte: 0 },
  { badPage: 256, byte: LARGE - 1 },
  { badPage: 256, byte: LARGE / 2 + SMALL },
  { badPage: 0, byte: SMALL },
  { badPage: 511, byte: 511 * SMALL - 1 },
  { badPage: 17, byte: 17 * SMALL + 2049 },
  { badPage: 0, byte: 0 },
  { badPage: 511, byte: LARGE - 1 },
  { badPage: 300, byte: LARGE - 1, write: true },
  { badPage: 44, byte: 44 * SMALL + 8, write: true },
];

/** A virtual CPU comes across the error. */
export const arVcpu: Scenario = {
  name: "ar-vcpu",
  summary: `a vCPU's first access hits any byte of a bad large page (${accesses.length} of them): only the bad 4 KiB is lost`,
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.blindGuard();
    const large = await lab.victim.ownLargePages(accesses.length);
    const bad = large.map(({ gpa }, number) => gpa + (accesses[number]?.badPage ?? 0) * SMALL);
    await lab.victim.poison(bad);
    for (const [number, access] of accesses.entries()) {
      await accessOne(lab, large[number] ?? { gpa: 0, index: 0 }, access);
      expectTriggers(await guard.waitForCount("recovered", number + 1), "AR");
    }
    expectRecovered(guard.all("recovered"), bad);
    return expectGuestLost(lab, bad);
  },
};

async function accessOne(lab: LabSession, { index }: OwnLargePage, access: Access): Promise<void> {
  const offset = index * SMALL + access.byte;
  const lost = Math.floor(access.byte / SMALL) === access.badPage;
  const { checker } = lab.victim;
  const seen = access.write ? await checker.poke(offset) : await checker.peek(offset);
  assert.equal(
    seen,
    lost ? "lost" : "ok",
    `byte ${access.byte} of a large page with bad page ${access.badPage}`,
  );
}
