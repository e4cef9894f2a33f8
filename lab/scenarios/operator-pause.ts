import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { expectGuestLost, expectRecovered } from "../expect.js";
import { disks, roundsMore, stopDisks } from "../guest-traffic.js";
import { type LabGuard, ledgerFolder } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { badPage, directIoVictim, startWorkers, workers } from "./direct-io.js";

/** How long a VM that must stay paused is looked at. */
const LOOK_MS = 3000;

/** Others stop and resume the VM while the guard has paused it, with disk I/O that needs the pause. */
export const operatorPause: Scenario = {
  name: "operator-pause",
  onlyInAll: true,
  summary:
    "the operator's cont, and cont and stop, in the middle of the guard's pause, and stop right before it: done again, or left paused; no byte wrong",
  victim: directIoVictim,
  async run(lab) {
    const { checker, qmp } = lab.victim;
    const guard = await lab.dawdlingGuard(["planned", "paused"]);
    const waiting = followWaiting(guard);
    const large = await lab.victim.ownLargePages(3);
    const bad = large.map(({ gpa }) => gpa + badPage * 4096);
    await startWorkers(lab, (large[0]?.index ?? 0) + 8);
    await roundsMore(() => disks(checker), workers);

    await lab.victim.poison(bad.slice(0, 1));
    await waiting("planned", "paused");
    assert.equal(await qmp.status(), "paused", "the VM in the guard's pause");
    await qmp.execute("cont");
    // The guard finds out, and pauses once more.
    await waiting("paused");
    await guard.waitForCount("recovered", 1);
    await roundsMore(() => disks(checker), workers);
    assert.equal(await qmp.status(), "running", "the VM after the operator's cont");

    await lab.victim.poison(bad.slice(1, 2));
    await waiting("planned", "paused");
    await qmp.execute("cont");
    await qmp.execute("stop");
    await waiting("paused");
    await staysPaused(lab, guard, 2);

    await lab.victim.poison(bad.slice(2));
    await waiting("planned");
    await qmp.execute("stop");
    await waiting("paused");
    await staysPaused(lab, guard, 3);

    const end = await stopDisks(checker);
    assert.deepEqual({ wrong: end.wrong, lost: end.lost }, { wrong: 0, lost: 0 }, "the guest's disk data");
    const seen = await expectGuestLost(lab, bad);
    expectRecovered(guard.all("recovered"), bad);
    assert.deepEqual(guard.all("refused"), []);
    // The operator's cont ended the guard's first pause, the guard its second. What comes after is the operator's, whoever was faster.
    const ends = await resumedBy(lab);
    assert.deepEqual(ends.slice(0, 2), ["other", "guard"], "ends of the guard's first pauses");
    assert.ok(
      !ends.slice(2).includes("guard"),
      `the guard resumed what the operator had stopped: ${ends.join(", ")}`,
    );
    return `${seen}; ${end.rounds} rounds of disk I/O, ${end.wrong} wrong; pauses ended by ${ends.join(", ")}`;
  },
};

/** @returns waits until the guard has said, in order, that it blocks at these steps */
function followWaiting(guard: LabGuard): (...steps: readonly string[]) => Promise<void> {
  let heard = 0;
  return async (...steps) => {
    for (const step of steps) {
      const all = await guard.waitForCount("waiting", ++heard);
      assert.equal(all[heard - 1]?.["step"], step, "where the guard waits");
    }
  };
}

async function staysPaused(lab: LabSession, guard: LabGuard, recoveries: number): Promise<void> {
  const { qmp, checker } = lab.victim;
  const recovered = await guard.waitForCount("recovered", recoveries);
  assert.equal(recovered.at(-1)?.["quiesced"], true);
  for (const until = Date.now() + LOOK_MS; Date.now() < until; await sleep(200))
    assert.equal(await qmp.status(), "paused", "the VM that the operator has paused");
  await qmp.execute("cont");
  await roundsMore(() => disks(checker), workers);
}

async function resumedBy(lab: LabSession): Promise<string[]> {
  const ledger = await lab.host.agent.must(`cat ${ledgerFolder}/*.jsonl`);
  return [...ledger.matchAll(/"event":"resumed","by":"(\w+)"/g)].map(([, by]) => by ?? "");
}
