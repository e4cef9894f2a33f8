/** Large pages come back only when nothing is being filled, also when a fill begins in the moment in which another one ends. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readSmaps } from "../../src/linux/procfs/smaps.js";
import { GuardProcess } from "../framework/guard-process.js";
import { withHugePages } from "../framework/huge-pages.js";
import { ObligingMonitor } from "../framework/obliging-monitor.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";

const GIGABYTE = 2 ** 30;
const LOST = 4096;
/** The guard hears of the end of a fill a little later than it is in the process. */
const HEARD_MS = 500;

/** Whether all of a large page is there but what is lost. */
function isFull(ram: RamVictim, page: number): boolean {
  const [start, end] = [ram.at(page), ram.at(page + 1)];
  const parts = readSmaps(ram.pid).filter(({ mapping }) => mapping.start >= start && mapping.end <= end);
  return parts.reduce((sum, { bytes }) => sum + (bytes.get("Rss") ?? 0), 0) === GIGABYTE - 4096;
}

async function tryIt(): Promise<void> {
  using folder = new TemporaryFolder();
  await using ram = await RamVictim.start(2, { pageSize: GIGABYTE });
  await using monitor = await ObligingMonitor.start(join(folder.path, "qmp"), ram.start, 2 * GIGABYTE);
  await using guard = await GuardProcess.start({
    pid: ram.pid,
    ledger: join(folder.path, "ledger"),
    qmp: monitor.path,
    quiesce: "always",
    fill: "lazy",
    fillRate: 0,
    lost: [LOST],
    // The heal begins with this: a dead guard fills no more, so what is there shows what it has waited for.
    killAt: "reset-seen",
  });
  await ram.poison(0);
  await ram.poison(1);
  // In a thread of its own: QEMU's main loop, which is held meanwhile, is the victim's first one.
  assert.equal(await ram.victim.ask("blocked 0 8192"), "blocked ok still-blocked");
  await guard.waitFor("recovered");
  assert.ok(!isFull(ram, 0));
  let stopsWaited = 0;
  monitor.beforeStop = async (): Promise<void> => {
    assert.ok(!isFull(ram, 0), "the error came while the first one was being filled");
    await waitUntil("the first one is full", () => isFull(ram, 0));
    await sleep(HEARD_MS);
    stopsWaited += 1;
  };
  monitor.reset();
  await sleep(50);
  const touched = ram.victim.ask("blocked 1 8192");
  await guard.diesAtStep();
  assert.equal(stopsWaited, 1);
  assert.equal(guard.all("recovered").length, 2);
  assert.ok(isFull(ram, 1), "the second one is full before any large page is put back");
  assert.match(await touched, /^blocked ok/);
}

test("a reset during a fill, and an error whose recovery is under way when that fill ends", async () => {
  // Nothing is joined then, so a fill has ended when all is there.
  await withHugePages("never", tryIt);
});
