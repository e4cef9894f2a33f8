/**
 * The real guard, in the lab host, with what `hugemend guard` has no option for: at named steps it ends itself with SIGKILL, or neither
 * hears nor sees for a while; or it tells QEMU of lost pages as if it were of another release.
 *
 *   node stepping-guard.js '{"pid":…,"qmp":"…","ledger":"…","quiesce":"auto","fill":"auto","killAt":"swapped"}'
 */

import { openGuard } from "../src/guard/open-guard.js";
import type { LossRoute } from "../src/qemu/qemu-release.js";

/** What it is told. */
export interface SteppingGuardInput {
  readonly pid: number;
  readonly qmp: string;
  readonly ledger: string;
  readonly quiesce: "auto" | "always" | "never";
  readonly fill: "auto" | "lazy";
  /** MiB a second; without it there is no limit. */
  readonly fillRate?: number | undefined;
  /** A step of guardSteps, untouchedSteps, populatedSwapSteps, lazySwapSteps, lazySteps, resetSteps, healSteps or handOverSteps. */
  readonly killAt?: string | undefined;
  /** Steps at which it says `waiting` and blocks, each time. */
  readonly waitAt?: readonly string[] | undefined;
  readonly lossRoute?: LossRoute | undefined;
}

/** The command line for the lab host's shell. @param program this file, compiled, in the lab host */
export function steppingGuardCommand(program: string, input: SteppingGuardInput): string {
  return `mkdir -p ${input.ledger}; exec node ${program} '${JSON.stringify(input)}'`;
}

/** How long it blocks: more than one question and answer under emulation. */
const WAIT_MS = 5000;

if (process.argv[1] === import.meta.filename) {
  // SAFETY: written by steppingGuardCommand above.
  const input = JSON.parse(process.argv[2] ?? "{}") as SteppingGuardInput;
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const { fillRate, ...rest } = input;
  const guard = await openGuard({
    ...rest,
    ...(fillRate === undefined ? {} : { fillRate }),
    sink: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`),
    trial: {
      ...(input.lossRoute === undefined ? {} : { lossRoute: input.lossRoute }),
      onStep: (step) => {
        if (step === input.killAt) process.kill(process.pid, "SIGKILL");
        if (input.waitAt?.includes(step) !== true) return;
        process.stdout.write(`${JSON.stringify({ event: "waiting", step })}\n`);
        Atomics.wait(nobody, 0, 0, WAIT_MS);
      },
    },
  });
  await guard.ended;
}
