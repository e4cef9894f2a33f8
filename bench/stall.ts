/**
 * `stall`: how long a thread's access takes that hits an error and is recovered: SIGBUS stop, salvage, swap, release, and the access
 * itself. Measured by the thread, so nothing is left out. Baseline: the request's algorithm in C in the same process, in turns.
 */

import type { Bench, Say } from "./bench.js";
import { LOST } from "./bench-guard.js";
import { SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
const RECOVERIES_A_ROUND = 40;
const MICROSECOND = 1000;
const MILLISECOND = 1_000_000;

async function strikes(rig: Rig, count: number, bytes: number): Promise<number> {
  await rig.measured.tell(`warm ${bytes}`);
  const stalls: number[] = [];
  for (let i = 0; i < count; i += 1) stalls.push((await rig.round(0)).stall);
  return median(stalls);
}

/** Medians, in nanoseconds. */
interface Turns {
  /** The very first recovery of a guard. */
  readonly first: number;
  readonly stall: number;
  readonly request: number;
  /** The same on shared anonymous memory, as the RAM is shared. */
  readonly shared: number;
}

/** @param each recoveries in a turn @param bytes of memory they need */
async function takeTurns(rig: Rig, each: number, bytes: number, say: (turn: number) => void): Promise<Turns> {
  const { measured } = rig;
  const request = async (shared: 0 | 1): Promise<number> => {
    // One replacement, and no large page that it is joined to.
    await measured.tell(`warm ${bytes / 2}`);
    return median(await measured.numbers(`request 0 ${each} ${LOST} ${shared}`));
  };
  const first = await strikes(rig, 1, bytes);
  // Until the interpreter has compiled what it runs again and again.
  if (each > 1) await strikes(rig, RECOVERIES_A_ROUND, bytes);
  const taken: Record<"stall" | "request" | "shared", number[]> = { stall: [], request: [], shared: [] };
  for (let round = 1; round <= ROUNDS; round += 1) {
    say(round);
    taken.request.push(await request(0));
    taken.stall.push(await strikes(rig, each, bytes));
    taken.shared.push(await request(1));
  }
  return {
    first,
    stall: median(taken.stall),
    request: median(taken.request),
    shared: median(taken.shared),
  };
}

async function turnsOf2M(say: Say, fill?: "lazy"): Promise<Turns> {
  await using rig = await Rig.start(fill === undefined ? { pages: 2 } : { pages: 2, fill });
  return await takeTurns(rig, RECOVERIES_A_ROUND, 16 * SIZES["2M"], (round) =>
    say(`recovering a page of 2 MiB${fill === undefined ? "" : ` (${fill})`}, round ${round} of ${ROUNDS}`),
  );
}

/** Targets: half of what the request costs; for 1 GiB 1/500 of it, and 1.5 times what 2 MiB cost. */
export const stall2M: Bench = {
  metrics: ["stall.2M", "stall.2M.shared", "stall.2M.first", "stall.2M.lazy"],
  summary: "access to a bad 2 MiB page until it is recovered; the request's algorithm in C",
  run: async (say) => {
    const { first, stall, request, shared } = await turnsOf2M(say);
    const lazy = await turnsOf2M(say, "lazy");
    const micro = (name: string, value: number, baseline: number, limit?: number) =>
      metricOf(name, "µs", value / MICROSECOND, baseline / MICROSECOND, limit === undefined ? {} : { limit });
    return [
      micro("stall.2M", stall, request, 0.5),
      micro("stall.2M.shared", stall, shared),
      micro("stall.2M.first", first, request),
      micro("stall.2M.lazy", lazy.stall, lazy.request),
    ];
  },
};

/** The same for a page of 1 GiB. */
export const stall1G: Bench = {
  metrics: ["stall.1G", "stall.1G.shared", "stall.1G.of2M"],
  summary: "access to a bad 1 GiB page until it is recovered; the request's algorithm in C, and 2 MiB",
  run: async (say) => {
    const small = await turnsOf2M(say);
    await using rig = await Rig.start({ pages: 1, pageSize: SIZES["1G"] });
    const { stall, request, shared } = await takeTurns(rig, 1, 2.5 * SIZES["1G"], (round) =>
      say(`recovering a page of 1 GiB, round ${round} of ${ROUNDS}`),
    );
    const milli = (name: string, baseline: number, limit?: number) =>
      metricOf(name, "ms", stall / MILLISECOND, baseline / MILLISECOND, limit === undefined ? {} : { limit });
    return [
      milli("stall.1G", request, 1 / 500),
      milli("stall.1G.shared", shared),
      milli("stall.1G.of2M", small.stall, 1.5),
    ];
  },
};
