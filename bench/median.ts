/** @param values at least one number @returns the middle one @throws RangeError for none */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new RangeError("No value to take the median of");
  return middle;
}
