/** `npm run bench [-- --json]`: measures, compares, fails if a promise is broken. */

import { benchDetach } from "./detach.js";
import type { Metric } from "./metric.js";
import { benchRecovery } from "./recovery.js";

const json = process.argv.includes("--json");

function row(metric: Metric): string {
  const { metric: name, value, unit, baseline, ratio, limit } = metric;
  const numbers = [value, baseline].map((number) => `${number.toFixed(0)} ${unit}`.padStart(16)).join("");
  const verdict =
    limit === undefined ? "" : ratio <= limit ? `at most ${limit}: kept` : `at most ${limit}: BROKEN`;
  return `${name.padEnd(16)}${numbers}${ratio.toFixed(2).padStart(8)}  ${verdict}\n`;
}

const progress = (text: string): void => void process.stderr.write(`bench: ${text}\n`);
const metrics = [...(await benchRecovery(progress)), ...(await benchDetach(progress))];
if (!json)
  process.stdout.write(
    `${"metric".padEnd(16)}${"value".padStart(16)}${"baseline".padStart(16)}${"ratio".padStart(8)}\n`,
  );
for (const metric of metrics) process.stdout.write(json ? `${JSON.stringify(metric)}\n` : row(metric));
const broken = metrics.filter(({ ratio, limit }) => limit !== undefined && ratio > limit);
process.exitCode = broken.length > 0 ? 1 : 0;
