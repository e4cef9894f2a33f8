/**
 * `npm test [-- GROUP…]`: everything, in an order that keeps the whole short. Tests that trace processes run alone, one after
 * another: the large page pool is one for the whole machine, and two emulated lab hosts would take both processors from them.
 *
 *   style    formatter and linter
 *   unit     pure code, and rules of this house
 *   native   real processes with real large pages
 *   lab      real memory errors in a machine inside a machine
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../src/errors.js";
import { Interruption } from "./runner/interruption.js";
import { runLabScenarios } from "./runner/lab-scenarios.js";
import { compiledTests, runTestFiles } from "./runner/node-tests.js";
import { installPrerequisites } from "./runner/prerequisites.js";
import { checkStyle } from "./runner/style-check.js";
import { Tally } from "./runner/tally.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MINUTE_MS = 60_000;

const groups: Readonly<Record<string, (tally: Tally, signal: AbortSignal) => Promise<void> | void>> = {
  style: (tally) => checkStyle(tally, ROOT),
  unit: (tally, signal) =>
    runTestFiles(
      tally,
      compiledTests(ROOT, ["src", "test/house", "test/runner", "lab", "bench", "scripts"]),
      {
        concurrency: 2,
        patienceMs: 5 * MINUTE_MS,
        signal,
      },
    ),
  native: (tally, signal) =>
    runTestFiles(tally, compiledTests(ROOT, ["test/integration", "test/lab"]), {
      concurrency: 1,
      patienceMs: 10 * MINUTE_MS,
      signal,
    }),
  lab: (tally, signal) => runLabScenarios(tally, join(ROOT, "dist/lab/main.js"), signal),
};

async function main(chosen: readonly string[]): Promise<number> {
  const unknown = chosen.filter((name) => !Object.hasOwn(groups, name));
  if (unknown.length > 0) {
    process.stderr.write(
      `There is no group ${unknown.join(", ")}; there are ${Object.keys(groups).join(", ")}\n`,
    );
    return 2;
  }
  const tally = new Tally((line) => process.stdout.write(`${line}\n`));
  try {
    installPrerequisites((text) => tally.say(text));
  } catch (error) {
    tally.fail("prerequisites", messageOf(error));
    return tally.finish();
  }
  using interruption = new Interruption();
  const { signal } = interruption;
  const begun = performance.now();
  for (const [name, run] of Object.entries(groups)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    tally.group(name);
    try {
      await run(tally, signal);
    } catch (error) {
      if (!signal.aborted) tally.fail(name, messageOf(error));
    }
    if (signal.aborted) {
      await interruption.ended;
      tally.fail(name, messageOf(signal.reason));
      break;
    }
    tally.say(`${name} ended after ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  }
  return tally.finish();
}

process.exitCode = await main(process.argv.slice(2));
