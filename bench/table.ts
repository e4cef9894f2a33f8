/** The numbers for a person. */

import { isKept, type Metric, type Outcome } from "./metric.js";

/** @returns a number with three digits that count, and no more zeros than it needs */
export function plainNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return String(Number(value.toPrecision(3)));
}

/** @returns what was promised of a ratio, `` for nothing */
export function promiseOf({ limit, least }: Metric): string {
  const most = limit === undefined ? [] : [`at most ${plainNumber(limit)}`];
  return [...(least === undefined ? [] : [`at least ${plainNumber(least)}`]), ...most].join(", ");
}

/** First line of the table. */
export const tableHead: string = row("metric", "value", "baseline", "ratio", "");

/** @returns its line in the table, with a line end */
export function tableRow(outcome: Outcome): string {
  if ("notMeasured" in outcome) return `${outcome.metric.padEnd(24)}NOT MEASURED: ${outcome.notMeasured}\n`;
  const { metric, value, unit, baseline, ratio, spread, at, over } = outcome;
  const kept = isKept(outcome);
  const verdict = [
    ...(at === undefined ? [] : [`at ${at} ${over ?? ""}`]),
    ...(spread === undefined ? [] : [`rounds ${spread.map(plainNumber).join(" to ")}`]),
    ...(kept === undefined ? [] : [`${promiseOf(outcome)}: ${kept ? "kept" : "MISSED"}`]),
  ].join("; ");
  const number = (amount: number): string => `${plainNumber(amount)} ${unit}`;
  return row(metric, number(value), number(baseline), plainNumber(ratio), verdict);
}

function row(metric: string, value: string, baseline: string, ratio: string, verdict: string): string {
  const numbers = value.padStart(14) + baseline.padStart(14) + ratio.padStart(10);
  return `${`${metric.padEnd(24)}${numbers}  ${verdict}`.trimEnd()}\n`;
}
