/** What the self-test's reading says about the kernel. Pure. */

import type { SalvageSupport } from "../../../linux/procfs/kernel-version.js";
import type { Leftover } from "./trial-report.js";

/** What came of a self-test. */
export interface SelfTest {
  /** The row of the kernel table that was seen; `unsupported`: nothing could be seen. */
  readonly verdict: SalvageSupport | "unsupported";
  /** What was seen, or why nothing was: part of a sentence. */
  readonly why: string;
  /** What could not be undone. */
  readonly leftover?: Leftover | undefined;
}

/**
 * What reading a page of 4 KiB through the file gave: its own bytes, an I/O error, zeros, or other bytes. The pages are filled so that
 * none is zero.
 */
export type Seen = "right" | "error" | "zeros" | "wrong";

/** Pages next to each other that read alike. */
export interface SeenRun {
  readonly seen: Seen;
  readonly pages: number;
}

/** A large page with one poisoned 4 KiB, read back. */
export interface Reading {
  /** All of the large page, in order. */
  readonly runs: readonly SeenRun[];
  /** Which page of it was poisoned. */
  readonly bad: number;
}

/**
 * @returns the row of the kernel table (linux/procfs/kernel-version.ts) that behaves like this. `broken` stands for everything that no
 *   other row allows: a read that does not stop at the poison, a wrong byte, more lost than was poisoned
 */
export function verdictOf({ runs, bad }: Reading): SalvageSupport {
  const present = runs.filter(({ pages }) => pages > 0);
  const all = (seen: Seen): boolean => present.length > 0 && present.every((run) => run.seen === seen);
  if (all("error")) return "all-eio";
  if (all("zeros")) return "drops";
  let page = 0;
  let exact = false;
  for (const { seen, pages } of present) {
    if (seen === "error") {
      if (exact || pages !== 1 || page !== bad) return "broken";
      exact = true;
    } else if (seen !== "right") return "broken";
    page += pages;
  }
  return exact ? "ok" : "broken";
}

/** For people: `256 right, 1 error, 255 right`. */
export function describeRuns(runs: readonly SeenRun[]): string {
  const named = runs.slice(0, 8).map(({ seen, pages }) => `${pages} ${seen}`);
  return [...named, ...(runs.length > named.length ? ["…"] : [])].join(", ");
}
