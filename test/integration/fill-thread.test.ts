/** The fill thread is taken away from a guard: the pages come all the same, and the guard says what was wrong. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched, joinedBytes } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

/** Code that is in the place of Node's Worker before anything of the guard is loaded. */
function insteadOfWorker(code: string): string {
  const whole =
    'import threads from "node:worker_threads"; import { syncBuiltinESMExports } from "node:module"; ' +
    `const { Worker } = threads; threads.Worker = ${code}; syncBuiltinESMExports();`;
  return `--import=data:text/javascript,${encodeURIComponent(whole)}`;
}

const troubles = {
  "cannot be started": 'class { constructor() { throw new Error("no more threads"); } }',
  "ends before it serves":
    'class extends Worker { constructor() { super("process.exit(3)", { eval: true }); } }',
  "ends in the middle":
    "class extends Worker { constructor(...words) { super(...words); setTimeout(() => this.terminate(), 400); } }",
  "ends when there is only something to join":
    "class extends Worker { constructor(...words) { super(...words); " +
    'this.on("message", ({ kind }) => { if (kind === "full") this.terminate(); }); } }',
};

describe("a fill thread", () => {
  for (const [what, code] of Object.entries(troubles)) {
    it(`that ${what}`, async () => {
      await using ram = await RamVictim.start(2);
      using ledger = new TemporaryFolder();
      const input = { pid: ram.pid, ledger: ledger.path, fill: "lazy", fillRate: 2 } as const;
      await using guard = await GuardProcess.start(input, insteadOfWorker(code));
      await ram.victim.ask("hammer 2");
      await ram.poison(1);
      const filled = await guard.waitFor("filled");
      assert.equal(filled.salvagedBytes, ram.pageSize);
      assert.deepEqual(filled.large, { ranges: 1, collapsed: 1 });
      assert.equal(joinedBytes(ram.pid, ram.at(1), ram.pageSize), ram.pageSize);
      assert.ok(guard.all("warning").some((warning) => warning.code === "HM_FILL_THREAD"));
      assert.equal((await ram.victim.counts("calm"))["corrupt"], 0);
      await ram.checkAll();
      await guard.stop();
      await assertUntouched(ram.pid);
    });
  }
});
