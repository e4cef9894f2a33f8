/**
 * `scale.pages`: 1,000 large pages of one process go bad, one after the other, and stay replaced.
 *
 * `stall`: the first of them and the last; each replaced page splits a mapping in three, so that the lists the guard reads get longer.
 * `resident`: the guard's memory.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bench } from "./bench.js";
import { curveMetric } from "./curve.js";
import { SIZES } from "./measured-process.js";
import { metricOf, type Point } from "./metric.js";
import { residentBytes } from "./process-cost.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const PAGES = 1000;
/** Recoveries whose median stands for one point. */
const WINDOW = 15;
const WARM_UP = 40;
/** Pages for which memory is had ready at a time: each takes 2 MiB for good. */
const WARM_EVERY = 25;
const REST_MS = 20;
/** The last recovery may cost this many times the first. */
const MOST_GROWTH = 1.5;

/** See the head of the file. */
export const scalePages: Bench = {
  metrics: ["scale.pages.last", "scale.pages.stall", "scale.pages.resident"],
  summary: "recoveries with up to 1,000 pages replaced already",
  run: async (say) => {
    await using rig = await Rig.start({ pages: PAGES + 1 });
    // Not counted: until the interpreter has compiled what it runs again and again.
    for (let i = 0; i < WARM_UP; i += 1) await rig.round(PAGES);
    const stalls: number[] = [];
    const resident: number[] = [];
    for (let page = 0; page < PAGES; page += 1) {
      if (page % 100 === 0) say(`recovering ${PAGES} pages of one process: ${page} done`);
      if (page % WARM_EVERY === 0) await rig.measured.tell(`warm ${2 * WARM_EVERY * SIZES["2M"]}`);
      stalls.push((await rig.strike(page)).stall / 1e6);
      // Errors do not come back to back: the guard gets ready for the next one meanwhile.
      await sleep(REST_MS);
      resident.push(residentBytes(rig.guard.pid) / 1e6);
    }
    const at = (values: readonly number[]): Point[] =>
      [1, 10, 100, 300, PAGES].map((x) => {
        const end = Math.max(x, WINDOW);
        return { x, value: median(values.slice(end - WINDOW, end)) };
      });
    const stall = at(stalls);
    const [first, last] = [stall[0]?.value ?? 0, stall.at(-1)?.value ?? 0];
    return [
      metricOf("scale.pages.last", "ms", last, first, { limit: MOST_GROWTH }),
      curveMetric("scale.pages.stall", "ms", "pages replaced", stall),
      curveMetric("scale.pages.resident", "MB", "pages replaced", at(resident)),
    ];
  },
};
