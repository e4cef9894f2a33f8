/** What a benchmark tells: one number beside what it is compared with, or why there is none. */

/** One point of a curve. */
export interface Point {
  readonly x: number;
  /** The median of its rounds. */
  readonly value: number;
  /** The lowest of them. */
  readonly low: number;
  /** The highest. */
  readonly high: number;
}

/** What is promised of a ratio, and what is behind it: a curve, or rounds that differ. */
export interface Promised {
  /** The most the ratio may be. */
  readonly limit?: number;
  /** The least it may be. */
  readonly least?: number;
  /** What the points' x counts, such as `GiB`. */
  readonly over?: string;
  readonly points?: readonly Point[];
  /** Of a curve: x of the point that is told. */
  readonly at?: number;
  /** Tenth and ninetieth percentile of the rounds' own ratios, where single rounds differ much. */
  readonly spread?: readonly [p10: number, p90: number];
}

/** One measured number beside what it is compared with. */
export interface Metric extends Promised {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number;
  /** value / baseline */
  readonly ratio: number;
}

/** A number that could not be taken here. Never taken for a good one: the run then ends with exit code 2. */
export interface NotMeasured {
  readonly metric: string;
  /** A sentence: why not, and what to do. */
  readonly notMeasured: string;
}

/** Either of the two. */
export type Outcome = Metric | NotMeasured;

/**
 * @param name such as `stall.2M`
 * @param unit of value and baseline, such as `µs`
 * @param value what was measured @param baseline what it is compared with
 * @param promised what must hold of `value / baseline`; nothing if left out
 */
export function metricOf(
  name: string,
  unit: string,
  value: number,
  baseline: number,
  promised: Promised = {},
): Metric {
  return { metric: name, value, unit, baseline, ratio: value / baseline, ...promised };
}

/** @returns whether a promise is kept; undefined where none was given. A ratio that is no number keeps none. */
export function isKept({ ratio, limit, least }: Metric): boolean | undefined {
  if (limit === undefined && least === undefined) return undefined;
  return ratio <= (limit ?? Number.POSITIVE_INFINITY) && ratio >= (least ?? Number.NEGATIVE_INFINITY);
}

/** @returns 1 if a promise is broken, else 2 if anything could not be measured (or nothing was), else 0 */
export function exitCodeOf(outcomes: readonly Outcome[]): number {
  if (outcomes.some((outcome) => "value" in outcome && isKept(outcome) === false)) return 1;
  return outcomes.length === 0 || outcomes.some((outcome) => "notMeasured" in outcome) ? 2 : 0;
}
