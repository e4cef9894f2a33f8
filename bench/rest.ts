/**
 * `rest`: guards that have nothing to do, each with a monitor connected: five of them, watched in the same minute. Wake-ups of all threads and
 * processor time a second, over as long as the slowest timer takes twice; resident memory right after some recoveries, and at rest. Five more
 * have 1 TiB mapped (`rest.resident.1T`).
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Resources } from "../test/framework/resources.js";
import type { Bench } from "./bench.js";
import { metricOf } from "./metric.js";
import { costOf, residentBytes } from "./process-cost.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const GUARDS = 5;
const RECOVERIES = 40;
const TIB = 2 ** 40;
/**
 * What a guard does once ends within 10 s of its start (the last look at threads that blocked SIGBUS), and within 20 s of its last recovery
 * (Node collects what it has left behind: 50 to 90 ms of processor, once).
 */
const SETTLE_S = 30;
/** The guard looks for new RAM every 30 s; it never stops to look for sharers. */
const WATCH_S = 60;

const MOST_WAKE_UPS = 1;
/** "No processor time" is less than a thousandth of one processor. */
const MOST_CPU_MS = 1;
const MOST_RESIDENT_MB = 70;

/** @returns process ids of guards that have just recovered pages of as many processes */
async function busyGuards(resources: Resources, mapped?: number): Promise<number[]> {
  const guards: number[] = [];
  for (let i = 0; i < GUARDS; i += 1) {
    const size = mapped === undefined ? {} : { mapped };
    const rig = resources.use(await Rig.start({ pages: 2, quiesce: true, ...size }));
    for (let page = 0; page < RECOVERIES; page += 1) await rig.round(0);
    guards.push(rig.guard.pid);
  }
  return guards;
}

const megabytes = (guards: readonly number[]): number =>
  median(guards.map((pid) => residentBytes(pid) / 1e6));

/** See the head of the file. */
export const rest: Bench = {
  metrics: ["rest.wakeups", "rest.cpu", "rest.resident", "rest.resident.1T", "rest.resident.busy"],
  summary: "wake-ups, processor time and memory of guards that have nothing to do",
  run: async (say) => {
    say(`${2 * GUARDS} guards recover ${RECOVERIES} times`);
    await using resources = new Resources();
    const large = await busyGuards(resources, TIB);
    const guards = await busyGuards(resources);
    const busy = megabytes(guards);
    say(`guards at rest: ${SETTLE_S} s until they are, ${WATCH_S} s of watching`);
    await sleep(SETTLE_S * 1000);
    const [before, begun] = [guards.map(costOf), performance.now()];
    await sleep(WATCH_S * 1000);
    const [after, seconds] = [guards.map(costOf), (performance.now() - begun) / 1000];
    const spent = (what: "wakeUps" | "cpu"): number =>
      median(after.map((cost, index) => (cost[what] - (before[index]?.[what] ?? Number.NaN)) / seconds));
    return [
      metricOf("rest.wakeups", "/s", spent("wakeUps"), MOST_WAKE_UPS, { limit: 1 }),
      metricOf("rest.cpu", "ms/s", spent("cpu") / 1e6, MOST_CPU_MS, { limit: 1 }),
      metricOf("rest.resident", "MB", megabytes(guards), MOST_RESIDENT_MB, { limit: 1 }),
      metricOf("rest.resident.1T", "MB", megabytes(large), MOST_RESIDENT_MB, { limit: 1 }),
      metricOf("rest.resident.busy", "MB", busy, MOST_RESIDENT_MB),
    ];
  },
};
