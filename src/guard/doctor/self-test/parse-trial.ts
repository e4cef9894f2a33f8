/** Reads what the self-test's own process has printed. */

import { z } from "zod";
import { POISONING, type TrialReport } from "./trial-report.js";

const run = z.object({ seen: z.enum(["right", "error", "zeros", "wrong"]), pages: z.number().int().min(1) });
const leftover = z.object({ markedBytes: z.number().int().min(0), poolPages: z.number().int().min(0) });
const schema: z.ZodType<TrialReport> = z.union([
  z.object({ unsupported: z.string(), leftover: leftover.optional() }),
  z.object({ runs: z.array(run).min(1), bad: z.number().int().min(0), leftover }),
]);

/** How the trial's process went. */
export interface TrialEnd {
  /** Everything it printed. */
  readonly output: string;
  /** Its end, for people: `exit code 0`, `ended by SIGBUS`. */
  readonly end: string;
  /** We ended it, because it took too long: that says nothing about the kernel. */
  readonly late: boolean;
}

/** @returns the report; undefined when there is none, with whether the page had been poisoned by then */
export function parseTrial({ output }: Pick<TrialEnd, "output">): {
  report: TrialReport | undefined;
  poisoned: boolean;
} {
  const lines = output.split("\n");
  const poisoned = lines.includes(POISONING);
  for (const line of lines.reverse()) {
    try {
      const { data } = schema.safeParse(JSON.parse(line));
      if (data !== undefined) return { report: data, poisoned };
    } catch {
      // Not a line of ours.
    }
  }
  return { report: undefined, poisoned };
}
