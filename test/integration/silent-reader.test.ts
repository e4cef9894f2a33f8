/** A guard whose output nobody reads: it goes on serving the VM, and leaves when it is told to. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ledgerPath } from "../../src/ledger/ledger-folder.js";
import { readLedger } from "../../src/ledger/ledger-reader.js";
import { readStat } from "../../src/linux/procfs/stat.js";
import { compileVictim } from "../compile-victim.js";
import { Child } from "../framework/child.js";
import { COMMAND } from "../framework/guard-process.js";
import { assertUntouched, threadStatuses } from "../framework/process-state.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { Victim } from "../framework/victim.js";
import { waitUntil } from "../framework/wait-until.js";

/** The guard gives its last lines a second; it may not take much longer. */
const EXIT_BOUND_MS = 5000;

/** Starts the command with a reader that does not read, and waits until the ledger says `ready`. */
async function startUnread(kind: "terminal" | "pipe", pid: number, ledger: string): Promise<Child> {
  const words = [kind, process.execPath, COMMAND, "guard", "--pid", String(pid), "--ledger", ledger];
  const child = Child.start(compileVictim("silent-reader"), words);
  try {
    const said = (await child.output.next()).split(" ");
    const path = ledgerPath(ledger, { pid, startTime: readStat(pid).startTime });
    await waitUntil("the guard is ready", () => {
      if (!child.alive) throw new Error("the guard has ended");
      try {
        return readLedger(path).records.some(({ name }) => name === "ready");
      } catch {
        return false;
      }
    });
    const tracers = threadStatuses(pid).map(({ tracerPid }) => tracerPid);
    assert.ok(
      tracers.every((tracer) => tracer === Number(said[1])),
      tracers.join(),
    );
    return child;
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

for (const kind of ["terminal", "pipe"] as const) {
  describe(`a guard that writes to a ${kind} which nobody reads`, () => {
    it("passes signals on, and leaves on SIGTERM", async (test) => {
      await using victim = await Victim.start("signals", [4]);
      using ledger = new TemporaryFolder();
      await using guard = await startUnread(kind, victim.pid, ledger.path);
      const { sent, got = 0, wrong } = await victim.counts("storm 10 300");
      assert.deepEqual({ sent, got, wrong }, { sent: 300, got: 300, wrong: 0 });
      const begun = performance.now();
      guard.write("term");
      assert.equal(await guard.output.next(), "exited 0");
      const took = performance.now() - begun;
      test.diagnostic(`gone after ${took.toFixed(0)} ms`);
      assert.ok(took < EXIT_BOUND_MS, `${took} ms`);
      await assertUntouched(victim.pid);
      assert.deepEqual(await victim.quit(), { code: 0, signal: null });
    });

    it("tells what waited when somebody reads again", async () => {
      await using victim = await Victim.start("signals", [2]);
      using ledger = new TemporaryFolder();
      await using guard = await startUnread(kind, victim.pid, ledger.path);
      guard.write("read");
      await waitUntil("the lines come", () =>
        guard.errors.all.some((line) => line.includes(" guarding process ")),
      );
      guard.write("term");
      assert.equal(await guard.output.next(), "exited 0");
      await guard.end();
      const lines = guard.errors.all.map((line) => line.trim()).filter((line) => line !== "");
      assert.match(lines.at(-1) ?? "", / detached +SIGTERM$/);
      const names = lines.map((line) => line.split(/ +/)[1]);
      assert.deepEqual(
        names.filter((name) => name !== "warning"),
        ["ready", "detached"],
        lines.join("\n"),
      );
      assert.ok(names.indexOf("warning") < names.indexOf("ready"), lines.join("\n"));
      assert.deepEqual(await victim.quit(), { code: 0, signal: null });
    });
  });
}
