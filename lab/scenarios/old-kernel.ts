import assert from "node:assert/strict";
import type { CheckResult, LostRun } from "../checker.js";
import { describe, expectAlive } from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { filledPages, oldKernelVictim } from "../victim-config.js";

const SMALL = 4096;
const pages = 512;

/** Debian 12's kernel, with its own memory_failure(): the whole bad large page reads as an I/O error. */
export const oldKernel: Scenario = {
  name: "old-kernel",
  onlyInAll: true,
  summary: "Debian 12's kernel 6.1: the guard refuses by version, and the VM fares as without one",
  victim: oldKernelVictim,
  async run(lab) {
    const release = await expectOldKernel(lab);
    const [unguarded, guarded] = await twoLargePages(lab);
    const stock = await hit(lab, unguarded, []);
    const once = await lab.victim.injected();
    const mappings = await ramMappings(lab);

    const guard = await lab.guard();
    const withGuard = await hit(lab, guarded, [unguarded]);
    const message = await expectRefused(guard, "HM_PLAN_KERNEL");
    assert.equal(await ramMappings(lab), mappings, "mappings of the VM's RAM");
    assert.deepEqual(
      await lab.victim.injected(),
      { ar: 2 * once.ar, ao: 2 * once.ao },
      "errors the guest was told of: as many with a guard as without",
    );
    await expectAlive(lab);
    return `Linux ${release}; stock: ${describe(stock)}; a second page, guarded: ${describe(withGuard)}, ${once.ar} machine checks each; ${message}`;
  },
};

/** The second line of defence: what if the version says nothing, as with a kernel whose maker has changed it. */
export const oldKernelDisguised: Scenario = {
  name: "old-kernel-disguised",
  onlyInAll: true,
  summary:
    "the same, but the guard takes the kernel for 6.12: it refuses when no byte can be read, and the VM fares as without one",
  victim: oldKernelVictim,
  async run(lab) {
    const release = await expectOldKernel(lab);
    const mappings = await ramMappings(lab);
    const guard = await lab.disguisedGuard("6.12.107+deb13-amd64");
    const [large] = await twoLargePages(lab);
    const result = await hit(lab, large, []);
    const message = await expectRefused(guard, "HM_SALVAGE_ALL_LOST");
    assert.equal(await ramMappings(lab), mappings, "mappings of the VM's RAM");
    await expectAlive(lab);
    return `Linux ${release}; ${describe(result)}; ${message}`;
  },
};

/** @returns its release */
async function expectOldKernel(lab: LabSession): Promise<string> {
  const release = (await lab.host.agent.must("uname -r")).trim();
  assert.match(release, /^6\.1\./, "release of the lab host's kernel");
  return release;
}

/** Addresses of two large pages of the guest program's own. */
async function twoLargePages(lab: LabSession): Promise<[number, number]> {
  const [first, second] = await lab.victim.ownLargePages(2);
  return [first?.gpa ?? 0, second?.gpa ?? 0];
}

/**
 * One bad 4 KiB in the middle of a large page: all of it must be lost, and nothing else but what was lost before.
 *
 * @param before large pages that are lost already
 */
async function hit(lab: LabSession, gpa: number, before: readonly number[]): Promise<CheckResult> {
  await lab.victim.poison([gpa + (pages / 2) * SMALL]);
  const result = await lab.victim.checker.check();
  const lost = [...before, gpa];
  assert.deepEqual(
    { ok: result.ok, lost: sorted(result.runs), corrupt: result.corrupt },
    {
      ok: filledPages - lost.length * pages,
      lost: sorted(lost.map((start) => ({ gpa: start, pages }))),
      corrupt: 0,
    },
    "what the guest found",
  );
  return result;
}

/** Page by page, for runs next to each other are told as one. */
function sorted(runs: readonly LostRun[]): number[] {
  const all = runs.flatMap((run) => Array.from({ length: run.pages }, (_, page) => run.gpa + page * SMALL));
  return all.sort((a, b) => a - b);
}

/** What QEMU has mapped of its RAM, and of Hugemend's. */
function ramMappings(lab: LabSession): Promise<string> {
  return lab.host.agent.must(`grep -E "qemu_back_mem|hugemend" /proc/${lab.victim.pid}/maps`);
}

/** @returns the guard's reason */
async function expectRefused(guard: LabGuard, code: string): Promise<string> {
  const refused = await guard.waitFor("refused");
  assert.equal(refused["code"], code);
  assert.deepEqual(guard.all("recovered"), []);
  return String(refused["message"]);
}
