/** The self-test's own process: `node trial-process.js PAGE-SIZE`. Prints what trial-report.ts reads. */

import { writeSync } from "node:fs";
import { runTrial } from "./trial.js";
import { POISONING } from "./trial-report.js";

const STANDARD_OUTPUT = 1;

if (process.argv[1] === import.meta.filename) {
  // Written at once: this process may be killed by what follows.
  const say = (line: string): void => void writeSync(STANDARD_OUTPUT, `${line}\n`);
  say(JSON.stringify(runTrial(Number(process.argv[2]), () => say(POISONING))));
}
