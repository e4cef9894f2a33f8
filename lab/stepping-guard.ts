/**
 * The real guard, in the lab host, with what `hugemend guard` has no option for: it ends itself with SIGKILL at a named step, or tells
 * QEMU of lost pages as if it were of another release.
 *
 *   node stepping-guard.js '{"pid":…,"qmp":"…","ledger":"…","quiesce":"auto","killAt":"swapped"}'
 */

import { openGuard } from "../src/guard/open-guard.js";
import type { LossRoute } from "../src/qemu/qemu-release.js";

/** What it is told. */
export interface SteppingGuardInput {
  readonly pid: number;
  readonly qmp: string;
  readonly ledger: string;
  readonly quiesce: "auto" | "always" | "never";
  /** A step of guardSteps, swapSteps, healSteps or handOverSteps. */
  readonly killAt?: string | undefined;
  readonly lossRoute?: LossRoute | undefined;
}

/** The command line for the lab host's shell. @param program this file, compiled, in the lab host */
export function steppingGuardCommand(program: string, input: SteppingGuardInput): string {
  return `mkdir -p ${input.ledger}; exec node ${program} '${JSON.stringify(input)}'`;
}

if (process.argv[1] === import.meta.filename) {
  // SAFETY: written by steppingGuardCommand above.
  const input = JSON.parse(process.argv[2] ?? "{}") as SteppingGuardInput;
  const guard = await openGuard({
    ...input,
    fill: "auto",
    sink: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
    trial: {
      ...(input.lossRoute === undefined ? {} : { lossRoute: input.lossRoute }),
      onStep: (step) => {
        if (step === input.killAt) process.kill(process.pid, "SIGKILL");
      },
    },
  });
  await guard.ended;
}
