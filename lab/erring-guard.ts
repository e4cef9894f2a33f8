/**
 * The real guard, in the lab host, that makes another page frame go bad at a named step of its walk, through the kernel's own
 * memory_failure().
 *
 *   node erring-guard.js '{"pid":…,"qmp":"…","ledger":"…","step":"salvaged","frame":89633}'
 */

import { writeFileSync } from "node:fs";
import { openGuard } from "../src/guard/open-guard.js";

/** What it is told. */
export interface ErringGuardInput {
  readonly pid: number;
  readonly qmp: string;
  readonly ledger: string;
  /** A step of populatedSwapSteps. */
  readonly step: string;
  /** Page frame number. */
  readonly frame: number;
}

if (process.argv[1] === import.meta.filename) {
  // SAFETY: written by the scenario error-during-recovery.
  const input = JSON.parse(process.argv[2] ?? "{}") as ErringGuardInput;
  let done = false;
  const guard = await openGuard({
    ...input,
    quiesce: "auto",
    fill: "auto",
    sink: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
    trial: {
      onStep: (step) => {
        if (step !== input.step || done) return;
        done = true;
        try {
          writeFileSync("/sys/kernel/debug/hwpoison/corrupt-pfn", String(input.frame));
        } catch (error) {
          // The kernel says that it knows the large page already, and notes the frame all the same.
          process.stderr.write(`${String(error)}\n`);
        }
        process.stdout.write(`${JSON.stringify({ event: "second", step })}\n`);
      },
    },
  });
  await guard.ended;
}
