/**
 * `npm run lab -- list | NAME… | usual | all [--json] [--keep]`: plays scenarios, two at a time. `usual` is what `npm test` plays.
 */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { HugemendError, messageOf } from "../src/errors.js";
import { openLab } from "./environment.js";
import { LabError } from "./lab-error.js";
import { runScenario, type ScenarioResult } from "./run-scenario.js";
import type { Scenario } from "./scenario.js";
import { allScenarios } from "./scenarios/all.js";

const usage = "usage: npm run lab -- list | NAME... | usual | all [--json] [--keep]";

/** @returns the exit code: 0 all well, 1 a scenario failed, 2 bad input or the lab cannot run here */
async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parse(argv);
  const [first] = positionals;
  if (first === undefined) throw new LabError("HM_LAB_USAGE", usage);
  if (first === "list") {
    for (const { name, summary, onlyInAll } of allScenarios) {
      const set = onlyInAll === true ? "all" : "usual";
      const row = `${name.padEnd(26)} ${set.padEnd(6)} ${summary}`;
      console.log(values.json ? JSON.stringify({ scenario: name, set, summary }) : row);
    }
    return 0;
  }
  const chosen = positionals.length === 1 ? setOf(first) : positionals.map(find);
  const environment = await openLab(values.keep);
  const queue = [...chosen];
  const results: ScenarioResult[] = [];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await runScenario(environment, next);
      results.push(result);
      environment.progress.clear();
      console.log(values.json ? JSON.stringify(result) : line(result));
    }
  };
  // One lab host is one emulated vCPU: one core.
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
  const failed = results.filter((result) => !result.ok).length;
  if (!values.json) console.log(`${results.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function parse(argv: readonly string[]): { values: { json: boolean; keep: boolean }; positionals: string[] } {
  try {
    const options = {
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
    } as const;
    return parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw new LabError("HM_LAB_USAGE", `${messageOf(error)}; ${usage}`);
  }
}

function setOf(name: string): readonly Scenario[] {
  if (name === "all") return allScenarios;
  if (name === "usual") return allScenarios.filter(({ onlyInAll }) => onlyInAll !== true);
  return [find(name)];
}

function find(name: string): Scenario {
  const scenario = allScenarios.find((one) => one.name === name);
  if (scenario !== undefined) return scenario;
  throw new LabError("HM_LAB_USAGE", "There is no such scenario", {
    present: name,
    expected: allScenarios.map((one) => one.name).join(", "),
  });
}

function line(result: ScenarioResult): string {
  const logs = result.logs === undefined ? "" : `\n     logs: ${result.logs}`;
  return `${result.ok ? "ok  " : "FAIL"} ${result.scenario} (${result.seconds} s): ${result.detail}${logs}`;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const code = error instanceof HugemendError ? `${error.code}: ` : "";
  process.stderr.write(`${code}${messageOf(error)}\n`);
  process.exitCode = 2;
}
