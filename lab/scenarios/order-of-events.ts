import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { expectAlive, expectLoss } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** How long nobody touches the page after the report. */
const untouchedMs = 4000;

/** The kernel's report comes first, and for a while nothing else. */
export const reportedFirst: Scenario = {
  name: "reported-first",
  summary:
    "the kernel reports the error (AO) seconds before anyone touches the page: one page lost when it is read",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 33 * 4096];
    await lab.victim.poison(bad);
    await sleep(untouchedMs);
    const early = guard.all("recovered").length;
    const neighbour = await lab.victim.checker.touch((large?.index ?? 0) + 34);
    assert.equal(neighbour, "ok", "the page beside the bad one");
    const seen = await expectLoss(lab, guard, bad);
    const [recovered] = guard.all("recovered");
    return `${seen}; recovered ${early > 0 ? "before" : "at"} the first touch (${String(recovered?.["trigger"])})`;
  },
};

/** The operator had paused the VM. */
export const operatorPaused: Scenario = {
  name: "operator-paused",
  summary:
    "the error comes while the operator holds the VM paused: it stays paused, and has lost one page when resumed",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    await lab.victim.qmp.execute("stop");
    const from = lab.victim.qmp.log.lines.length;
    await lab.victim.poison(bad);
    // Long enough for a recovery, which may happen now or at the resume; either way the VM must not run.
    for (let tenths = 0; tenths < 50; tenths++) {
      assert.equal(await lab.victim.qmp.status(), "paused", "state of the VM after the error");
      await sleep(100);
    }
    const resumed = lab.victim.qmp.log.lines.slice(from).some((line) => line.includes('"RESUME"'));
    assert.equal(resumed, false, "the VM was resumed behind the operator's back");
    await lab.victim.qmp.execute("cont");
    return expectLoss(lab, guard, bad);
  },
};

/** The guard comes too late for the report. */
export const guardLate: Scenario = {
  name: "guard-late",
  summary: "the guard is started after the page was poisoned: one page lost all the same",
  victim: usualVictim,
  async run(lab) {
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    await lab.victim.poison(bad);
    const guard = await lab.guard();
    return expectLoss(lab, guard, bad);
  },
};

/** The guard dies, another takes over. */
export const guardKilled: Scenario = {
  name: "guard-killed",
  summary:
    "the guard is killed with -9 right after a recovery and started again, then a second large page goes bad: two pages lost",
  victim: usualVictim,
  async run(lab) {
    const large = await lab.victim.ownLargePages(2);
    const bad = large.map((page, index) => page.gpa + (5 + index * 300) * 4096);
    const first = await lab.guard();
    await lab.victim.poison(bad.slice(0, 1));
    assert.equal(
      await lab.victim.checker.touch((large[0]?.index ?? 0) + 100),
      "ok",
      "a good page of the bad large page",
    );
    await first.waitForCount("recovered", 1);
    first.kill(9);
    assert.equal((await first.ended()).code, 137, "exit code of the killed guard");
    await expectAlive(lab);
    const second = await lab.guard();
    await lab.victim.poison(bad.slice(1));
    return expectLoss(lab, second, bad, { told: bad.slice(1) });
  },
};
