/** A logarithmic axis: numbers to places in a picture. */
export interface LogScale {
  /** Whole powers of ten inside, ascending. */
  readonly ticks: readonly number[];
  /** @param value a positive number; one outside the axis lands on its end */
  at(value: number): number;
}

/** @param values positive numbers that must fit @param from place of the lower end @param to place of the upper end */
export function logScale(values: readonly number[], from: number, to: number): LogScale {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  const start = positive.length > 0 ? Math.floor(Math.min(...positive)) : 0;
  const end = Math.max(start + 1, Math.ceil(Math.max(start, ...positive)));
  return {
    ticks: Array.from({ length: end - start + 1 }, (_, index) => 10 ** (start + index)),
    at: (value) => {
      const place = value > 0 ? (Math.log10(value) - start) / (end - start) : 0;
      return from + (to - from) * Math.min(1, Math.max(0, place));
    },
  };
}
