/** Whether a cost grows faster than what it depends on. */

import { type Metric, metricOf, type Point } from "./metric.js";

/** Noise of one point on a busy machine: a proportional curve measured twice is rarely farther off. */
const TOLERANCE = 1.25;

/**
 * The step between two neighbouring points where the cost grew most. Value: the cost at its upper end; baseline: what it would be
 * there if it had grown in proportion. A cost that stays the same has a small ratio, a proportional one 1.
 *
 * @param name of the metric @param unit of the points' values
 * @param over what x counts @param points at least two, ascending x
 * @throws RangeError for fewer
 */
export function curveMetric(name: string, unit: string, over: string, points: readonly Point[]): Metric {
  const steps = points.slice(1).map((to, index) => {
    const from = points[index] ?? to;
    return { value: to.value, proportional: (from.value * to.x) / from.x };
  });
  const [first, ...rest] = steps;
  if (first === undefined) throw new RangeError("A curve needs two points");
  const worst = rest.reduce(
    (left, right) => (right.value / right.proportional > left.value / left.proportional ? right : left),
    first,
  );
  return metricOf(name, unit, worst.value, worst.proportional, { limit: TOLERANCE, over, points });
}
