/** @param values at least one number @param share 0.5 for the median, 0.99 for p99 @returns the value of that rank @throws RangeError for none */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new RangeError("No value to take a quantile of");
  return value;
}

/** @param values at least one number @returns the middle one @throws RangeError for none */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
