/** `npm run bench [-- --json]`: measures, compares, fails if a promise is broken. Exit code 2: nothing could be measured. */

import { messageOf } from "../src/errors.js";
import { benchDetach } from "./detach.js";
import type { Metric } from "./metric.js";
import { whyNotHere } from "./preflight.js";
import { benchRecovery } from "./recovery.js";

function row(metric: Metric): string {
  const { metric: name, value, unit, baseline, ratio, limit } = metric;
  const numbers = [value, baseline].map((number) => `${number.toFixed(0)} ${unit}`.padStart(16)).join("");
  const verdict =
    limit === undefined ? "" : ratio <= limit ? `at most ${limit}: kept` : `at most ${limit}: BROKEN`;
  return `${name.padEnd(16)}${numbers}${ratio.toFixed(2).padStart(8)}  ${verdict}\n`;
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

async function measure(): Promise<Metric[]> {
  const obstacle = whyNotHere();
  if (obstacle !== undefined) throw new Error(obstacle);
  return [...(await benchRecovery(say)), ...(await benchDetach(say))];
}

async function main(json: boolean): Promise<number> {
  let metrics: Metric[];
  try {
    metrics = await measure();
  } catch (error) {
    say(`cannot measure: ${messageOf(error)}`);
    return 2;
  }
  if (!json)
    process.stdout.write(
      `${"metric".padEnd(16)}${"value".padStart(16)}${"baseline".padStart(16)}${"ratio".padStart(8)}\n`,
    );
  for (const metric of metrics) process.stdout.write(json ? `${JSON.stringify(metric)}\n` : row(metric));
  return metrics.some(({ ratio, limit }) => limit !== undefined && ratio > limit) ? 1 : 0;
}

process.exitCode = await main(process.argv.includes("--json"));
