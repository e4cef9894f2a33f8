/** The thread that serves or the one that fills is taken away from a guard: the pages come all the same, and the guard says what was wrong. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardProcess } from "../framework/guard-process.js";
import { insteadOfWorker } from "../framework/other-worker.js";
import { assertUntouched, joinedBytes } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

/** In the place of one of the two threads; the other is as it should be. */
function only(thread: string, trouble: string): string {
  return `class extends Worker { constructor(url, options) {
    const meant = String(url).endsWith("/${thread}-thread.js");
    super(meant && ${trouble === "exit"} ? new URL("data:text/javascript,process.exit(3)") : url, options);
    if (meant && ${trouble === "end"}) setTimeout(() => this.terminate(), 200);
    this.on("message", ({ kind }) => { if (meant && kind === "${trouble}") this.terminate(); });
  } }`;
}

const troubles = {
  "cannot be started": 'class { constructor() { throw new Error("no more threads"); } }',
  "serves and ends before it does": only("serve", "exit"),
  "serves and ends in the middle": only("serve", "end"),
  "fills and ends before it does": only("fill", "exit"),
  "fills and ends in the middle": only("fill", "end"),
  "fills and ends when there is only something to join": only("fill", "full"),
};

describe("a thread behind a lazy replacement", () => {
  for (const [what, code] of Object.entries(troubles)) {
    it(`that ${what}`, async () => {
      await using ram = await RamVictim.start(2);
      using ledger = new TemporaryFolder();
      const input = { pid: ram.pid, ledger: ledger.path, fill: "lazy", fillRate: 0.5 } as const;
      await using guard = await GuardProcess.start(input, insteadOfWorker(code));
      await ram.poison(1);
      const isTold = (): boolean => guard.all("warning").some(({ code: told }) => told === "HM_FILL_THREAD");
      // A thread that waits for a fault ends with the next one. Backwards, because the fill goes on behind what was needed.
      for (let offset = ram.pageSize - 4096; !isTold(); offset -= 4096) {
        assert.ok(offset > 4096, "the guard does not say that it lacks a thread");
        assert.equal(await ram.touch(1, offset), "ok");
        await sleep(10);
      }
      await ram.victim.ask("hammer 2");
      const filled = await guard.waitFor("filled");
      assert.equal(filled.salvagedBytes, ram.pageSize);
      assert.deepEqual(filled.large, { ranges: 1, collapsed: 1 });
      assert.equal(joinedBytes(ram.pid, ram.at(1), ram.pageSize), ram.pageSize);
      assert.equal((await ram.victim.counts("calm"))["corrupt"], 0);
      await ram.checkAll();
      await guard.stop();
      await assertUntouched(ram.pid);
    });
  }
});
