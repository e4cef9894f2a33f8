import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { ErringGuardInput } from "../erring-guard.js";
import {
  describe,
  expectAlive,
  expectGuestLost,
  expectMachineChecks,
  expectOnlyLost,
  expectRecovered,
} from "../expect.js";
import { ledgerFolder } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import { payloadFolder } from "../payload.js";
import type { Scenario } from "../scenario.js";
import { hex } from "../victim.js";
import { usualVictim, type VictimConfig, victimPaths } from "../victim-config.js";

const settleMs = 3000;

/** More errors where one was already. */
export const secondError: Scenario = {
  name: "second-error",
  summary:
    "errors in the old memory of a replaced large page (nothing lost), in its replacement (that 4 KiB lost), and two in a row in another",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const large = await lab.victim.ownLargePages(2);
    const [one = 0, two = 0] = large.map(({ gpa }) => gpa);
    const first = one + 10 * 4096;
    const said = await lab.host.agent.must(`/lab/poison ${lab.victim.pid} ${hex(first)}`);
    const frame = Number(/pfn=(0x[0-9a-f]+)/.exec(said)?.[1]);
    const [recovered] = await guard.waitForCount("recovered", 1, 60_000);

    // Nobody uses the old large page any more: an error in it, first of a page that was good and then of a lost one, costs nothing.
    await corrupt(lab, frame + 10);
    await corrupt(lab, frame);
    await sleep(settleMs);
    assert.equal(guard.all("recovered").length, 1, "an error in memory that nobody uses");

    // The replacement is ordinary memory: the kernel takes exactly one page of it.
    const inReplacement = one + 40 * 4096;
    assert.equal(
      await lab.victim.checker.touch((large[0]?.index ?? 0) + 40),
      "ok",
      "a page of the replacement",
    );
    const address = Number(recovered?.["hva"]) + 40 * 4096;
    await lab.host.agent.must(`/lab/poison ${lab.victim.pid} @${hex(address)}`);

    // The second of two errors in one large page, before or after it was replaced: it was good when it was read, or it is lost.
    const pair = [two + 20 * 4096, two + 400 * 4096];
    await lab.victim.poison(pair);
    await guard.waitForCount("recovered", 2, 60_000);

    const bad = [first, inReplacement, ...lostOf(guard.all("recovered")[1])];
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    assert.ok(
      bad.slice(2).every((gpa) => pair.includes(gpa)) && bad.length >= 3,
      "only pages that were poisoned are lost",
    );
    expectRecovered(guard.all("recovered"), [first, ...bad.slice(2)]);
    await expectMachineChecks(lab, bad);
    assert.deepEqual(guard.all("refused"), []);
    await expectAlive(lab);
    return `${describe(result)}; of the pair ${bad.length - 2} were bad when read`;
  },
};

/** The second error comes when everything has been read, and nothing replaced yet. */
export const errorDuringRecovery: Scenario = {
  name: "error-during-recovery",
  summary: "another 4 KiB goes bad between salvage and swap: it was read while it was good, and is not lost",
  victim: usualVictim,
  async run(lab) {
    const { agent } = lab.host;
    const [large] = await lab.victim.ownLargePages(1);
    const first = (large?.gpa ?? 0) + 10 * 4096;
    const said = await agent.must(`/lab/poison ${lab.victim.pid} ${hex(first)}`);
    const frame = Number(/pfn=(0x[0-9a-f]+)/.exec(said)?.[1]) + 90;
    const input: ErringGuardInput = {
      pid: lab.victim.pid,
      qmp: victimPaths.guardQmp,
      ledger: ledgerFolder,
      step: "salvaged",
      frame,
    };
    await agent.must(`mkdir -p ${ledgerFolder} && mount -t ext4 -o ro /dev/vdb ${payloadFolder}`);
    const guard = agent.spawn(
      `exec node ${payloadFolder}/dist/lab/erring-guard.js '${JSON.stringify(input)}'`,
    );
    const second = await guard.out.wait("the second error", (line) => line.includes('"second"'), 120_000);
    const recovered = await guard.out.wait("the recovery", (line) => line.includes('"recovered"'), 60_000);
    assert.ok(
      guard.out.lines.indexOf(second) < guard.out.lines.indexOf(recovered),
      "the second error came first",
    );
    const noted = await agent.must("dmesg");
    assert.match(noted, new RegExp(`Memory failure: ${hex(frame)}: recovery action`), "the second error");
    return expectGuestLost(lab, [first]);
  },
};

/** Larger, so that the guest program can own fifty large pages. */
const stormVictim: VictimConfig = {
  ...usualVictim,
  id: "storm",
  memory:
    "-m 384M -object memory-backend-file,id=ram,size=384M,mem-path=/dev/hugepages,share=on,prealloc=on -machine memory-backend=ram",
};
const stormPages = 50;
const stormMib = 120;
const stormErrors = [7, 300];
const growthLimit = 40 * 2 ** 20;

/** So many errors at once as no machine should survive. */
export const errorStorm: Scenario = {
  name: "error-storm",
  summary: "100 errors over 50 large pages at once: exactly 100 pages lost, the guard's memory stays bounded",
  victim: stormVictim,
  async run(lab) {
    const pages = await lab.victim.checker.fill(stormMib);
    const large = await lab.victim.ownLargePages(stormPages);
    const guard = await lab.guard();
    const before = await guardMemory(lab);
    const bad = large.flatMap(({ gpa }) => stormErrors.map((page) => gpa + page * 4096));
    await lab.victim.poison(bad.slice(0, stormPages));
    await lab.victim.poison(bad.slice(stormPages));
    const result = await lab.victim.checker.check(1, 300_000);
    const lost = result.runs.flatMap((run) =>
      Array.from({ length: run.pages }, (_, page) => hex(run.gpa + page * 4096)),
    );
    assert.deepEqual(lost.sort(), bad.map(hex).sort(), "lost pages");
    assert.deepEqual({ ok: result.ok, corrupt: result.corrupt }, { ok: pages - bad.length, corrupt: 0 });
    const recovered = await guard.waitForCount("recovered", stormPages, 60_000);
    expectRecovered(recovered, bad);
    const untouched = recovered.filter((event) => event["trigger"] === "AO").length;
    const growth = (await guardMemory(lab)) - before;
    assert.ok(growth < growthLimit, `the guard grew by ${growth} bytes`);
    assert.deepEqual(guard.all("refused"), []);
    await expectAlive(lab);
    return `${describe(result)}; ${untouched} of ${recovered.length} recovered before a touch, guard grew by ${Math.round(growth / 1024)} KiB`;
  },
};

/**
 * Poisons a page frame whoever has it. The kernel calls it an error where the large page is known to be bad already, so what counts
 * is that its log tells of the frame once more.
 */
async function corrupt(lab: LabSession, frame: number): Promise<void> {
  const before = await reportsOf(lab, frame);
  await lab.host.agent.run(`echo ${hex(frame)} > /sys/kernel/debug/hwpoison/corrupt-pfn`);
  const after = await reportsOf(lab, frame);
  assert.ok(after > before, `the kernel's reports of frame ${hex(frame)}: ${before}, then ${after}`);
}

/** How often the host's kernel has logged an error of a page frame (mm/memory-failure.c). */
async function reportsOf(lab: LabSession, frame: number): Promise<number> {
  const report = new RegExp(
    `Memory failure: ${hex(frame)}: (?:recovery action|already hardware poisoned)`,
    "g",
  );
  return (await lab.host.agent.must("dmesg")).match(report)?.length ?? 0;
}

/** Resident bytes of the guard, of which there is one. */
async function guardMemory(lab: LabSession): Promise<number> {
  const line = await lab.host.agent.must(
    "for f in /proc/[0-9]*/cmdline; do if tr '\\0' ' ' < $f 2>/dev/null | grep -q '^node .*main.js guard'; then grep VmRSS $(dirname $f)/status; fi; done",
  );
  const kib = /VmRSS:\s+(\d+) kB/.exec(line)?.[1];
  assert.ok(kib !== undefined, `the guard's resident memory: ${line}`);
  return Number(kib) * 1024;
}

function lostOf(event: Readonly<Record<string, unknown>> | undefined): number[] {
  const ranges: unknown = event?.["lost"];
  if (!Array.isArray(ranges)) return [];
  return ranges.map((range: Readonly<Record<string, unknown>>) => Number(range["gpa"]));
}
