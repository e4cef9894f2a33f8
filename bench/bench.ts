/** One benchmark: takes some numbers that belong together. */

import type { Outcome } from "./metric.js";

/** Told a sentence whenever something begins that may take longer than two seconds. */
export type Say = (text: string) => void;

/** See the head of the file. */
export interface Bench {
  /** Names of its metrics; a metric `a.b` is chosen by `a` as well. */
  readonly metrics: readonly [string, ...string[]];
  /** What it does, for a list. */
  readonly summary: string;
  /** @returns its metrics, or some of them with a reason why they could not be taken @throws if none could */
  readonly run: (say: Say) => Promise<Outcome[]>;
}

/** @param names as the user gave them @returns the benchmarks that have them; all for none @throws RangeError for an unknown one */
export function choose(benches: readonly Bench[], names: readonly string[]): readonly Bench[] {
  const has = (bench: Bench, name: string): boolean =>
    bench.metrics.some((metric) => metric === name || metric.startsWith(`${name}.`));
  const unknown = names.find((name) => !benches.some((bench) => has(bench, name)));
  if (unknown !== undefined) throw new RangeError(`there is no metric ${unknown}`);
  return names.length === 0 ? benches : benches.filter((bench) => names.some((name) => has(bench, name)));
}
