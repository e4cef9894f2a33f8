import { SMALL_PAGE } from "./large-page.js";

/** Joins neighbouring 4 KiB pages. @param lost ascending byte offsets */
export function lostRanges(lost: readonly number[]): { offset: number; bytes: number }[] {
  const ranges: { offset: number; bytes: number }[] = [];
  for (const offset of lost) {
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.bytes === offset) last.bytes += SMALL_PAGE;
    else ranges.push({ offset, bytes: SMALL_PAGE });
  }
  return ranges;
}
