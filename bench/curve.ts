/**
 * Whether a cost grows faster than what it depends on: whether its curve bends upwards.
 *
 * A curve bends upwards if it lies under the straight line between two of its points. Each point is compared with each such line, and the
 * one that lies lowest is told. Nothing costs nothing, so (0, 0) counts as the first point: what grows more than in proportion lies under
 * a line from there.
 *
 * Rounds differ, so no more is asked of a point than that its highest round is not under the line between the others' lowest: a curve that is
 * straight, or bends down, and runs between the lowest and the highest round of each point, is never blamed. But not without end: noise
 * excuses a fifth at most.
 */

import { type Metric, metricOf, type Point } from "./metric.js";
import { median } from "./statistics.js";

/** What the machine does besides, and no round shows. A quadratic part of 30 % of the rest lies 7 % under the line in its middle. */
const TOLERANCE = 0.05;
/** Lower than this is a bend, however noisy the rounds. */
const LEAST = 0.8;

/** What was measured of a curve at one place: the same thing several times. */
export interface Measured {
  readonly x: number;
  readonly rounds: readonly number[];
}

/** One point, and the line between two others. */
interface Bend {
  readonly at: number;
  readonly value: number;
  /** What the line has there. */
  readonly line: number;
  /** The least that value / line may be. */
  readonly least: number;
}

/**
 * Value: the cost at the point that lies lowest under a line, baseline: what that line has there, `least`: what their ratio must be
 * at least. A straight curve has 1, one that stays the same 1, one that bends down more.
 *
 * @param name of the metric @param unit of the rounds' values
 * @param over what x counts @param measured at least two places, ascending x above 0, with at least one round each
 * @throws RangeError for fewer
 */
export function curveMetric(name: string, unit: string, over: string, measured: readonly Measured[]): Metric {
  const points = measured.map(({ x, rounds }) => placeOf(x, rounds));
  const [first, ...others] = bendsOf([placeOf(0, [0]), ...points]);
  if (first === undefined) throw new RangeError("A curve needs two points");
  const { at, value, line, least } = others.reduce(
    (left, right) => (margin(right) < margin(left) ? right : left),
    first,
  );
  return metricOf(name, unit, value, line, { least, at, over, points });
}

function placeOf(x: number, rounds: readonly number[]): Point {
  return { x, value: median(rounds), low: Math.min(...rounds), high: Math.max(...rounds) };
}

/** How far a point is above what it must be. */
function margin({ value, line, least }: Bend): number {
  return value / line - least;
}

/** Every point between every two others. */
function bendsOf(places: readonly Point[]): Bend[] {
  return places.flatMap((from, left) =>
    places
      .slice(left + 2)
      .flatMap((to, right) =>
        places.slice(left + 1, left + 2 + right).map((middle) => bend(from, middle, to)),
      ),
  );
}

function bend(from: Point, middle: Point, to: Point): Bend {
  const share = (middle.x - from.x) / (to.x - from.x);
  const between = (left: number, right: number): number => left + share * (right - left);
  const line = between(from.value, to.value);
  const noise = line - between(from.low, to.low) + middle.high - middle.value;
  const least = Math.max(LEAST, 1 - TOLERANCE - noise / line);
  return { at: middle.x, value: middle.value, line, least };
}
