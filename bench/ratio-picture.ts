import { escapeHtml } from "../lab/escape-html.js";
import { logScale } from "./log-scale.js";
import { isKept, type Metric } from "./metric.js";
import { plainNumber } from "./table.js";

const WIDTH = 920;
const NAMES = 190;
const NUMBERS = 70;
const ROW = 24;
const HEAD = 22;

/** Ratios as bars from 1 to the left or right, on a logarithmic axis, with marks at what is promised. An inline SVG. */
export function ratioPicture(metrics: readonly Metric[]): string {
  const promised = metrics.flatMap(({ limit, least }) => [limit, least].filter((one) => one !== undefined));
  const scale = logScale([1, ...promised, ...metrics.map(({ ratio }) => ratio)], NAMES + 10, WIDTH - NUMBERS);
  const height = HEAD + ROW * metrics.length + 6;
  const grid = scale.ticks.map((tick) => {
    const x = scale.at(tick).toFixed(1);
    const style = tick === 1 ? "base" : "grid";
    return `<line class="${style}" x1="${x}" x2="${x}" y1="${HEAD - 4}" y2="${height}"/><text class="soft middle" x="${x}" y="12">${tick}</text>`;
  });
  const rows = metrics.map((metric, index) => bar(metric, HEAD + ROW * index, scale.at));
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="ratios of all metrics">${grid.join("")}${rows.join("")}</svg>`;
}

function bar(metric: Metric, top: number, at: (value: number) => number): string {
  const kept = isKept(metric);
  const verdict = kept === undefined ? "free" : kept ? "kept" : "missed";
  const [from, to] = [at(1), at(metric.ratio)];
  const marks = [metric.limit, metric.least].map((promise) => {
    if (promise === undefined) return "";
    const x = at(promise).toFixed(1);
    return `<line class="promise" x1="${x}" x2="${x}" y1="${top + 2}" y2="${top + ROW - 4}"/>`;
  });
  const middle = top + ROW / 2 + 3;
  return (
    `<text class="end" x="${NAMES}" y="${middle}">${escapeHtml(metric.metric)}</text>` +
    `<rect class="bar ${verdict}" x="${Math.min(from, to).toFixed(1)}" y="${top + 4}" width="${Math.max(1, Math.abs(to - from)).toFixed(1)}" height="${ROW - 10}" rx="2"/>` +
    `${marks.join("")}<text class="end" x="${WIDTH}" y="${middle}">${plainNumber(metric.ratio)}</text>`
  );
}
