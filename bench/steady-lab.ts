/**
 * `steady.lab`: what a guard costs a real VM, guest and all: stock QEMU with KVM, in the lab's emulated host. One host plays all rounds: each is
 * a turn with a guard between two without one, which it is compared with. Times are those of the emulator's processor for the same work and mean
 * nothing; ratios do, though they show the guard's own work larger than it is: emulation makes it many times longer, beside a clock that goes on
 * as it did, and there is one processor for guest and guard.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLab } from "../lab/environment.js";
import { LabHostLost } from "../lab/lab-error.js";
import type { LabSession } from "../lab/lab-session.js";
import { withSession } from "../lab/run-scenario.js";
import { iothreadVictim } from "../lab/scenarios/handler-restored.js";
import { guardedPieces, type SteadyPieces, steadyPieces } from "../lab/steady.js";
import type { Bench, Say } from "./bench.js";
import { metricOf } from "./metric.js";
import { median, quantile } from "./statistics.js";

const ROUNDS = 6;

/** Turns without a guard are one more: each with one stands between two. */
interface Turns {
  readonly free: readonly SteadyPieces[];
  readonly guarded: readonly SteadyPieces[];
}

async function takeTurns(lab: LabSession, say: Say): Promise<Turns> {
  // The first turn warms up.
  await steadyPieces(lab);
  const free = [await steadyPieces(lab)];
  const guarded: SteadyPieces[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    say(`a VM in the lab with a guard and without, round ${round} of ${ROUNDS}`);
    guarded.push(await guardedPieces(lab));
    free.push(await steadyPieces(lab));
  }
  return { free, guarded };
}

/** @throws Error where the lab cannot run */
async function inLab(say: Say): Promise<Turns> {
  const environment = await openLab(false);
  const logs = mkdtempSync(join(tmpdir(), "hugemend-bench-lab-"));
  const play = (attempt: string): Promise<Turns> => {
    const folder = join(logs, attempt);
    mkdirSync(folder);
    return withSession(environment, iothreadVictim, folder, (lab) => takeTurns(lab, say));
  };
  const turns = await play("first")
    .catch((error: unknown) => {
      if (!(error instanceof LabHostLost)) throw error;
      say(`the lab host was lost (${error.message}): all once more on a fresh one`);
      return play("second");
    })
    .catch((error: unknown) => {
      say(`logs: ${logs}`);
      throw error;
    });
  // Only of what went well: else they tell why.
  rmSync(logs, { recursive: true });
  return turns;
}

/** See the head of the file. */
export const steadyLab: Bench = {
  metrics: ["steady.lab.cpu", "steady.lab.disk"],
  summary: "a guest's computing and disk I/O in the lab, with a guard and without: five minutes",
  run: async (say) => {
    say("starting the lab; its first start on a machine fetches and builds for some minutes");
    const { free, guarded } = await inLab(say);
    const compare = (name: string, what: keyof SteadyPieces) => {
      const middle = (pieces: SteadyPieces): number => median(pieces[what]);
      const before = free.map(middle);
      const ratios = guarded.map((pieces, round) => {
        const [left = Number.NaN, right = Number.NaN] = before.slice(round, round + 2);
        return (2 * middle(pieces)) / (left + right);
      });
      const all = (turns: readonly SteadyPieces[]): number => median(turns.flatMap((pieces) => pieces[what]));
      return metricOf(name, "ms", all(guarded), all(free), {
        spread: [quantile(ratios, 0.1), quantile(ratios, 0.9)],
      });
    };
    return [compare("steady.lab.cpu", "cpu"), compare("steady.lab.disk", "disk")];
  },
};
