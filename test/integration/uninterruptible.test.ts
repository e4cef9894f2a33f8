/** Threads that sleep uninterruptibly: the guard borrows others, and nobody's signals wait for them. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched, threadStatuses } from "../framework/process-state.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { Victim } from "../framework/victim.js";
import { waitUntil } from "../framework/wait-until.js";

const SLEEPERS = 4;
const PERIOD_MS = 20;
/** What one of the attaches keeps. */
const GAP_BOUND_MS = 500;
/** What each keeps on a machine that is busy with other things. To wait for one sleeper would take longer. */
const WORST_GAP_BOUND_MS = 1900;

/** Starts the victim and waits until its threads sleep. */
async function startSleepers(): Promise<Victim> {
  const victim = await Victim.start("sleepers", [SLEEPERS, PERIOD_MS]);
  await waitUntil(
    "the sleepers sleep",
    () => threadStatuses(victim.pid).filter(({ state }) => state === "D").length === SLEEPERS + 1,
  );
  return victim;
}

/** @returns the largest time between two beats since the last call, in milliseconds */
async function largestGap(victim: Victim, when: string, test: TestContext): Promise<number> {
  const { beats = 0, largest = Number.POSITIVE_INFINITY } = await victim.counts("gap");
  const gap = largest / 1000;
  test.diagnostic(
    `largest gap while a guard ${when}: ${gap.toFixed(1)} ms, ${beats} beats of ${PERIOD_MS} ms`,
  );
  assert.ok(beats > 0);
  assert.ok(gap < WORST_GAP_BOUND_MS, `${gap} ms between two beats of ${PERIOD_MS} ms`);
  return gap;
}

describe("a process with threads that cannot be stopped now", () => {
  it("goes on while a guard attaches and leaves, and its sleepers wake up whole", async (test) => {
    await using victim = await startSleepers();
    using ledger = new TemporaryFolder();
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3; round++) {
      await victim.ask("gap");
      await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
      best = Math.min(best, await largestGap(victim, "attaches", test));
      await guard.stop();
      await largestGap(victim, "leaves", test);
      assert.equal(
        threadStatuses(victim.pid).filter(({ state }) => state === "D").length,
        SLEEPERS + 1,
        "they still sleep",
      );
    }
    assert.ok(best < GAP_BOUND_MS, `${best} ms between two beats of ${PERIOD_MS} ms`);
    assert.equal(await victim.ask("wake"), "wake done");
    await assertUntouched(victim.pid);
    assert.deepEqual(await victim.quit(), { code: 0, signal: null });
  });

  it("lets its sleepers wake up under a guard", async () => {
    await using victim = await startSleepers();
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: victim.pid, ledger: ledger.path });
    assert.equal(await victim.ask("wake"), "wake done");
    await guard.stop();
    await assertUntouched(victim.pid);
    assert.deepEqual(await victim.quit(), { code: 0, signal: null });
  });
});
