import assert from "node:assert/strict";
import { expectAlive, expectOnlyLost } from "../expect.js";
import type { LabGuard } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import { framesKept, type Pool, poolOf } from "../large-page-pool.js";
import type { Scenario } from "../scenario.js";
import { hex } from "../victim.js";
import { usualVictim } from "../victim-config.js";
import { expectWhole, overlays, reboot } from "./pause-and-reset.js";

const SIGTERM = 15;
const badPage = 256;
const framesEach = 512;
/** Units of st_blocks in a large page: stat(2). */
const blocksEach = 2 ** 21 / 512;

/** What is measured at each point. */
interface State extends Pool {
  readonly fileBlocks: number;
}

/**
 * A page that has left its file is held by nothing but the kernel's own reference from the error: as soon as that is dropped, which the
 * kernel does for errors made by software only, the page is back in the pool.
 */
export const giveBack: Scenario = {
  name: "give-back",
  onlyInAll: true,
  summary:
    "--give-back, filled lazily and eagerly: both poisoned pages leave their file, the kernel keeps all of them, and the guard says so; a reset brings healthy ones",
  victim: usualVictim,
  async run(lab) {
    const before = await stateOf(lab);
    const [first, second] = (await lab.victim.ownLargePages(2)).map(({ gpa }) => gpa + badPage * 4096);
    assert.ok(first !== undefined && second !== undefined);

    const lazy = await lab.guard(["--fill", "lazy", "--give-back"]);
    const frames = [await loseAndGiveBack(lab, lazy, first, [])];
    assert.deepEqual(await stateOf(lab), after(before, 1), "after the first error");
    lazy.kill(SIGTERM);
    await lazy.ended();
    const guard = await lab.guard(["--fill", "eager", "--give-back"]);
    frames.push(await loseAndGiveBack(lab, guard, second, [first]));
    assert.deepEqual(await stateOf(lab), after(before, 2), "after the second error");

    for (const frame of frames) await dropReference(lab, frame);
    const { fileBlocks } = after(before, 2);
    const dropped = { ...before, free: before.free + 2, fileBlocks };
    assert.deepEqual(await stateOf(lab), dropped, "without the kernel's references");
    await reboot(lab);
    await guard.waitForCount("healed", 2);
    assert.deepEqual(await stateOf(lab), before, "after the reset");
    assert.equal(await overlays(lab), 0, "replaced large pages after the reset");
    await expectWhole(lab, "after the reset");
    return "2 pages left their file and the kernel kept all 4 KiB of them; without its reference they were in the pool again";
  },
};

/** What an error changes: the file has lost the page, the pool has not got it back. */
function after(before: State, errors: number): State {
  return {
    ...before,
    corruptedKb: before.corruptedKb + 4 * errors,
    fileBlocks: before.fileBlocks - blocksEach * errors,
  };
}

/** @param bad what goes bad @param earlier what is lost already @returns the first frame of its large page */
async function loseAndGiveBack(
  lab: LabSession,
  guard: LabGuard,
  bad: number,
  earlier: readonly number[],
): Promise<number> {
  const said = await lab.host.agent.must(`/lab/poison ${lab.victim.pid} ${hex(bad)}`);
  const frame = Number(/ pfn=(0x[0-9a-f]+) /.exec(said)?.[1]);
  assert.ok(Number.isSafeInteger(frame), said);
  const head = frame - (frame % framesEach);
  expectOnlyLost(await lab.victim.checker.check(), [...earlier, bad]);
  const returned = await guard.waitFor("returned");
  assert.equal(returned["bytes"], 0, "bytes that the host can use again");
  assert.equal(await framesKept(lab, head, framesEach), framesEach, "4 KiB that the kernel keeps");
  expectOnlyLost(await lab.victim.checker.check(), [...earlier, bad]);
  await expectAlive(lab);
  return head;
}

async function stateOf(lab: LabSession): Promise<State> {
  const blocks = await lab.host.agent.must(
    `for f in /proc/${lab.victim.pid}/fd/*; do case $(readlink $f) in *qemu_back_mem*) stat -L -c %b $f; break;; esac; done`,
    60_000,
  );
  return { ...(await poolOf(lab)), fileBlocks: Number(blocks) };
}

/** mm/memory-failure.c unpoison_memory: refused once the hardware has reported an error. @param head first frame of the large page */
async function dropReference(lab: LabSession, head: number): Promise<void> {
  await lab.host.agent.must(`echo 0x${head.toString(16)} > /sys/kernel/debug/hwpoison/unpoison-pfn`, 60_000);
}
