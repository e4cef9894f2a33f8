import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { Child } from "../framework/child.js";
import { waitUntil } from "../framework/wait-until.js";

function url(name: string): string {
  return JSON.stringify(new URL(name, import.meta.url).href);
}

/** A test file that never ends, whose own child would not end with it. */
function hangingTest(told: string): string {
  return `
    import { spawn } from "node:child_process";
    import { renameSync, writeFileSync } from "node:fs";
    import { test } from "node:test";
    test("hangs", async () => {
      const child = spawn("sleep", ["3600"], { stdio: "ignore", detached: true });
      writeFileSync(${JSON.stringify(`${told}.new`)}, String(child.pid));
      renameSync(${JSON.stringify(`${told}.new`)}, ${JSON.stringify(told)});
      await new Promise(() => setInterval(() => {}, 1000));
    });`;
}

/** What test/run.ts does with one group. */
function runner(file: string): string {
  return `
    import { Interruption } from ${url("./interruption.js")};
    import { runTestFiles } from ${url("./node-tests.js")};
    import { Tally } from ${url("./tally.js")};
    const tally = new Tally((line) => console.log(line));
    const interruption = new Interruption();
    const { signal } = interruption;
    await runTestFiles(tally, [${JSON.stringify(file)}], { concurrency: 1, patienceMs: 600_000, signal });
    await interruption.ended;
    tally.fail("group", signal.reason.message);
    process.exitCode = tally.finish();`;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  it(`${signal} ends all that runs, and the sums are told`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "hugemend-interruption-"));
    try {
      const told = join(folder, "pid");
      const file = join(folder, "hanging.test.mjs");
      writeFileSync(file, hangingTest(told));
      const program = join(folder, "run.mjs");
      writeFileSync(program, runner(file));
      // It is no part of the run that runs this test.
      const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
      await using run = Child.start("env", [
        ...["-i", ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
        ...[process.execPath, program],
      ]);
      await waitUntil("the hanging test", () => existsSync(told) || !run.alive);
      assert.ok(run.alive, [...run.output.all, ...run.errors.all].join("\n"));
      const grandchild = Number(readFileSync(told, "utf8"));
      assert.ok(existsSync(`/proc/${grandchild}`));
      run.kill(signal);
      assert.deepEqual(await run.end(), { code: 1, signal: null }, run.errors.all.join("\n"));
      assert.equal(run.output.all.at(-1), "0 passed, 1 failed");
      await waitUntil("its grandchild's end", () => hasEnded(grandchild));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

/** A zombie has ended too: whoever inherited it has not looked yet. */
function hasEnded(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return true;
  }
}
