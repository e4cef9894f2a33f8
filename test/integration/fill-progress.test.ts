import assert from "node:assert/strict";
import { it } from "node:test";
import { Worker } from "node:worker_threads";
import { FillProgress, newProgress } from "../../src/recovery/fill-progress.js";
import { SMALL_PAGE } from "../../src/recovery/large-page.js";
import { isLost, LEFT_OUT, noteAll, PAGES, type Shared } from "./note-all.js";

const WORKER = new URL("./drivers/progress-thread.js", import.meta.url);
const ROUNDS = 8;

it("two threads that note the same pages at the same time count each once, and lose no lost page", async () => {
  const lost = Array.from({ length: PAGES }, (_, page) => page)
    .filter((page) => page !== LEFT_OUT && (isLost(page, 0) || isLost(page, 1)))
    .map((page) => page * SMALL_PAGE);
  for (let round = 0; round < ROUNDS; round += 1) {
    const shared: Shared = { progress: newProgress(PAGES * SMALL_PAGE), gate: new SharedArrayBuffer(4) };
    const other = new Worker(WORKER, { workerData: shared });
    const ended = new Promise<number>((resolve, reject) => other.once("error", reject).once("exit", resolve));
    noteAll(shared, 0);
    assert.equal(await ended, 0);
    const progress = new FillProgress(shared.progress);
    assert.equal(progress.complete, false, "a page is missing: one was counted twice");
    progress.notePresent(LEFT_OUT, 1);
    assert.equal(progress.complete, true, "no page is missing: one was not counted");
    assert.deepEqual(progress.lost, lost);
  }
});
