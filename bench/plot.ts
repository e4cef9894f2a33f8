/** The numbers as one HTML page with pictures: nothing is loaded from anywhere. */

import { escapeHtml } from "../lab/escape-html.js";
import { curvePicture } from "./curve-picture.js";
import type { Metric, NotMeasured, Outcome } from "./metric.js";
import { plotStyle } from "./plot-style.js";
import { ratioPicture } from "./ratio-picture.js";
import { plainNumber } from "./table.js";

/** @param where the machine, for the head @param when time of the run */
export function plotPage(outcomes: readonly Outcome[], where: string, when: Date): string {
  const metrics = outcomes.filter((outcome): outcome is Metric => "value" in outcome);
  const missing = outcomes.filter((outcome): outcome is NotMeasured => "notMeasured" in outcome);
  const curves = metrics.filter(({ points }) => points !== undefined);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hugemend benchmarks</title>
<style>${plotStyle}</style>
<main>
<header>
<p class="kicker">Hugemend benchmarks</p>
<h1>What a guard costs</h1>
<p>${escapeHtml(where)}, ${escapeHtml(when.toISOString())}. Each number beside what it is compared with, from the same run.</p>
</header>
<section><h2>Ratios</h2>${ratioPicture(metrics)}
<p class="legend">Value divided by baseline; the line at 1 is the baseline. <span class="key kept"></span>promise kept
<span class="key missed"></span>missed <span class="key free"></span>nothing promised <span class="key promise"></span>what is promised</p></section>
${curves.map((metric) => `<section class="curve"><h2>${escapeHtml(metric.metric)}</h2>${curvePicture(metric)}</section>`).join("\n")}
${missing.length === 0 ? "" : `<section><h2>Not measured</h2><dl>${missing.map(term).join("")}</dl></section>`}
<section><h2>Numbers</h2><table><thead><tr><th></th><th>value</th><th>baseline</th><th>ratio</th></tr></thead><tbody>${metrics
    .map(numbers)
    .join("")}</tbody></table></section>
</main>
</html>
`;
}

function term({ metric, notMeasured }: NotMeasured): string {
  return `<dt>${escapeHtml(metric)}</dt><dd>${escapeHtml(notMeasured)}</dd>`;
}

function numbers({ metric, value, baseline, ratio, unit }: Metric): string {
  const cells = [`${plainNumber(value)} ${unit}`, `${plainNumber(baseline)} ${unit}`, plainNumber(ratio)];
  return `<tr><th>${escapeHtml(metric)}</th>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`;
}
