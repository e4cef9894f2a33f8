/** One measured number beside what it is compared with. */
export interface Metric {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number;
  /** value / baseline */
  readonly ratio: number;
  /** The most the ratio may be; absent where nothing is promised. */
  readonly limit?: number;
}
