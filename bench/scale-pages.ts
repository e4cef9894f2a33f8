/**
 * `scale.pages`: 1,000 large pages of one process go bad, one after the other, and stay replaced. Five processes, each with a guard.
 *
 * `stall`: the first of them and the last; each replaced page splits a mapping in three, so that the lists the guard reads get longer.
 * `resident`: the guard's memory.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bench, Say } from "./bench.js";
import { curveMetric } from "./curve.js";
import { SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { residentBytes } from "./process-cost.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
const PAGES = 1000;
/** How many are replaced where it is measured; 1 stands for the first recoveries of all. */
export const pointsOfPages: readonly number[] = [1, 100, 250, 500, 750, PAGES];
/** Recoveries whose median is one round's word for a point. */
const WINDOW = 15;
const WARM_UP = 40;
/** Pages for which memory is had ready at a time: each takes 2 MiB for good. */
const WARM_EVERY = 25;
const REST_MS = 20;
/** The last recovery may cost this many times the first. */
const MOST_GROWTH = 1.5;

/** Of each recovery of a round: milliseconds, and the guard's memory after it in megabytes. */
interface Round {
  readonly stall: readonly number[];
  readonly resident: readonly number[];
}

async function takeRound(say: Say, round: number): Promise<Round> {
  await using rig = await Rig.start({ pages: PAGES + 1 });
  // Not counted: until the interpreter has compiled what it runs again and again.
  for (let i = 0; i < WARM_UP; i += 1) await rig.round(PAGES);
  const stall: number[] = [];
  const resident: number[] = [];
  for (let page = 0; page < PAGES; page += 1) {
    if (page % 500 === 0)
      say(`recovering ${PAGES} pages of one process, round ${round} of ${ROUNDS}: ${page} done`);
    if (page % WARM_EVERY === 0) await rig.measured.tell(`warm ${2 * WARM_EVERY * SIZES["2M"]}`);
    stall.push((await rig.strike(page)).stall / 1e6);
    // Errors do not come back to back: the guard gets ready for the next one meanwhile.
    await sleep(REST_MS);
    resident.push(residentBytes(rig.guard.pid) / 1e6);
  }
  return { stall, resident };
}

/** See the head of the file. */
export const scalePages: Bench = {
  metrics: ["scale.pages.last", "scale.pages.stall", "scale.pages.resident"],
  summary: "recoveries with up to 1,000 pages replaced already",
  run: async (say) => {
    const rounds: Round[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) rounds.push(await takeRound(say, round));
    const at = (what: keyof Round, x: number): number[] => {
      const end = Math.max(x, WINDOW);
      return rounds.map((round) => median(round[what].slice(end - WINDOW, end)));
    };
    const curve = (what: keyof Round, unit: string) =>
      curveMetric(
        `scale.pages.${what}`,
        unit,
        "pages replaced",
        pointsOfPages.map((x) => ({ x, rounds: at(what, x) })),
      );
    const [first, last] = [median(at("stall", 1)), median(at("stall", PAGES))];
    return [
      metricOf("scale.pages.last", "ms", last, first, { limit: MOST_GROWTH }),
      curve("stall", "ms"),
      curve("resident", "MB"),
    ];
  },
};
