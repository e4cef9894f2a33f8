import { escapeHtml } from "../lab/escape-html.js";
import { logScale } from "./log-scale.js";
import { isKept, type Metric } from "./metric.js";
import { plainNumber } from "./table.js";

const WIDTH = 440;
const HEIGHT = 260;
const LEFT = 60;
const BOTTOM = 40;
const RIGHT = WIDTH - 24;

/** A metric's points and their rounds on two logarithmic axes, with a dashed line for growth in proportion from the first point. An inline SVG. */
export function curvePicture(metric: Metric): string {
  const points = metric.points ?? [];
  const [first] = points;
  if (first === undefined) return "";
  const across = logScale(
    points.map(({ x }) => x),
    LEFT,
    RIGHT,
  );
  const up = logScale(
    points.flatMap(({ value, low, high }) => [value, low, high]),
    HEIGHT - BOTTOM,
    12,
  );
  const place = (x: number, value: number): string => `${across.at(x).toFixed(1)},${up.at(value).toFixed(1)}`;
  const style = isKept(metric) === false ? " missed" : "";
  const line = points.map(({ x, value }) => place(x, value)).join(" ");
  const dots = points.map(
    ({ x, value, low, high }) =>
      `<line class="curve-line${style}" x1="${across.at(x).toFixed(1)}" x2="${across.at(x).toFixed(1)}" y1="${up.at(low).toFixed(1)}" y2="${up.at(high).toFixed(1)}"/>` +
      `<circle class="dot${style}" cx="${across.at(x).toFixed(1)}" cy="${up.at(value).toFixed(1)}" r="4">` +
      `<title>${x}: ${plainNumber(value)} ${escapeHtml(metric.unit)}, rounds ${plainNumber(low)} to ${plainNumber(high)}</title></circle>`,
  );
  const rows = up.ticks.map((tick) => {
    const y = up.at(tick).toFixed(1);
    return `<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y}" y2="${y}"/><text class="soft end" x="${LEFT - 6}" y="${Number(y) + 4}">${tick}</text>`;
  });
  const columns = points.map(
    ({ x }) =>
      `<text class="soft middle" x="${across.at(x).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}">${x}</text>`,
  );
  // The dashed line ends where the axis does.
  const room = Math.max(...up.ticks) / first.value;
  const end = Math.min(points.at(-1)?.x ?? first.x, first.x * room);
  return (
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(metric.metric)}">${rows.join("")}${columns.join("")}` +
    `<polyline class="ideal" points="${place(first.x, first.value)} ${place(end, (first.value * end) / first.x)}"/>` +
    `<polyline class="curve-line${style}" points="${line}"/>${dots.join("")}` +
    `<text class="soft middle" x="${(LEFT + WIDTH) / 2}" y="${HEIGHT - 4}">${escapeHtml(`${metric.unit}, by ${metric.over ?? ""}`)}</text></svg>`
  );
}
