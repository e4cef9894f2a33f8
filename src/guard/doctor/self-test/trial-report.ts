/** What the self-test's own process tells doctor: one JSON object a line. Parsed in parse-trial.ts. */

import type { Reading } from "./verdict.js";

/** What could not be undone. */
export interface Leftover {
  /** Memory that stays marked bad until the next boot, in bytes. */
  readonly markedBytes: number;
  /** Large pages that the pool has less to give. */
  readonly poolPages: number;
}

/** The last line: what was seen, or why nothing was. */
export type TrialReport =
  | { readonly unsupported: string; readonly leftover?: Leftover | undefined }
  | (Reading & { readonly leftover: Leftover });

/** The line before the page is poisoned: whoever dies after it, dies of the poison. */
export const POISONING = "poisoning";
