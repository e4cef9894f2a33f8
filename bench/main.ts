/**
 * `npm run bench [-- NAME…] [--json]`: measures, compares, draws. `list` tells what there is. Exit code 1: a promise is broken; 2: bad input,
 * or a number could not be taken.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../src/errors.js";
import { allBenches } from "./all.js";
import { type Bench, choose } from "./bench.js";
import { exitCodeOf, isKept, type Outcome } from "./metric.js";
import { plotPage } from "./plot.js";
import { whyNotHere } from "./preflight.js";
import { plainNumber, promiseOf, tableHead, tableRow } from "./table.js";

const usage = "usage: npm run bench [-- list | NAME...] [--json]";

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** A benchmark that fails is told as such: the others run all the same. */
async function runOne(bench: Bench): Promise<Outcome[]> {
  try {
    return await bench.run(say);
  } catch (error) {
    const notMeasured = messageOf(error);
    return bench.metrics.map((metric) => ({ metric, notMeasured }));
  }
}

async function measure(benches: readonly Bench[], json: boolean): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  if (!json) process.stdout.write(tableHead);
  for (const bench of benches) {
    for (const outcome of await runOne(bench)) {
      outcomes.push(outcome);
      process.stdout.write(json ? `${JSON.stringify(outcome)}\n` : tableRow(outcome));
    }
  }
  return outcomes;
}

function draw(outcomes: readonly Outcome[]): string {
  const folder = join(tmpdir(), "hugemend-bench");
  mkdirSync(folder, { recursive: true });
  const when = new Date();
  const path = join(folder, `bench-${when.toISOString().slice(0, 19).replaceAll(":", "-")}.html`);
  const [processor] = cpus();
  const where = `Linux ${release()}, ${cpus().length} × ${processor?.model ?? "unknown processor"}`;
  writeFileSync(path, plotPage(outcomes, where, when));
  return path;
}

async function main(argv: readonly string[]): Promise<number> {
  let chosen: readonly Bench[];
  let json: boolean;
  try {
    const options = {
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    } as const;
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      return 0;
    }
    if (positionals[0] === "list" && positionals.length === 1) return list(values.json);
    ({ json } = values);
    chosen = choose(allBenches, positionals);
  } catch (error) {
    say(`${messageOf(error)}; ${usage}`);
    return 2;
  }
  const obstacle = whyNotHere();
  if (obstacle !== undefined) {
    say(`cannot measure: ${obstacle}`);
    return 2;
  }
  const outcomes = await measure(chosen, json);
  for (const outcome of outcomes) {
    if ("notMeasured" in outcome) say(`${outcome.metric} was NOT measured: ${outcome.notMeasured}`);
    else if (isKept(outcome) === false)
      say(`${outcome.metric} MISSED: ${plainNumber(outcome.ratio)}, promised ${promiseOf(outcome)}`);
  }
  say(`plots: ${draw(outcomes)}`);
  return exitCodeOf(outcomes);
}

function list(json: boolean): number {
  for (const { metrics, summary } of allBenches) {
    process.stdout.write(
      json ? `${JSON.stringify({ metrics, summary })}\n` : `${metrics.join(" ")}\n    ${summary}\n`,
    );
  }
  return 0;
}

// Each of a hundred guards wants to be ended with us.
process.setMaxListeners(0);
process.exitCode = await main(process.argv.slice(2));
