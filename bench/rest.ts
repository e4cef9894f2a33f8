/**
 * `rest`: a guard that has nothing to do, with a monitor connected. Wake-ups of all its threads and processor time a second, over as
 * long as its slowest timer takes twice; resident memory right after some recoveries, and at rest.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bench } from "./bench.js";
import { metricOf } from "./metric.js";
import { costOf, residentBytes } from "./process-cost.js";
import { Rig } from "./rig.js";

const RECOVERIES = 40;
/**
 * What a guard does once ends within 10 s of its start (the last look at threads that blocked SIGBUS), and within 20 s of its last recovery
 * (Node collects what it has left behind: 50 to 90 ms of processor, once).
 */
const SETTLE_S = 30;
/** The guard looks for new RAM and for sharers every 30 s; on a host with more than some hundred processes it never stops to look for sharers. */
const WATCH_S = 60;

const MOST_WAKE_UPS = 1;
/** "No processor time" is less than a thousandth of one processor. */
const MOST_CPU_MS = 1;
const MOST_RESIDENT_MB = 70;

/** See the head of the file. */
export const rest: Bench = {
  metrics: ["rest.wakeups", "rest.cpu", "rest.resident", "rest.resident.busy"],
  summary: "wake-ups, processor time and memory of a guard that has nothing to do",
  run: async (say) => {
    await using rig = await Rig.start({ pages: 2, quiesce: true });
    for (let i = 0; i < RECOVERIES; i += 1) await rig.round(0);
    const { pid } = rig.guard;
    const busy = residentBytes(pid) / 1e6;
    say(`a guard at rest: ${SETTLE_S} s until it is, ${WATCH_S} s of watching`);
    await sleep(SETTLE_S * 1000);
    const [before, begun] = [costOf(pid), performance.now()];
    await sleep(WATCH_S * 1000);
    const [after, seconds] = [costOf(pid), (performance.now() - begun) / 1000];
    const wakeUps = (after.wakeUps - before.wakeUps) / seconds;
    const resident = residentBytes(pid) / 1e6;
    const cpu = (after.cpu - before.cpu) / 1e6 / seconds;
    return [
      metricOf("rest.wakeups", "/s", wakeUps, MOST_WAKE_UPS, { limit: 1 }),
      metricOf("rest.cpu", "ms/s", cpu, MOST_CPU_MS, { limit: 1 }),
      metricOf("rest.resident", "MB", resident, MOST_RESIDENT_MB, { limit: 1 }),
      metricOf("rest.resident.busy", "MB", busy, MOST_RESIDENT_MB),
    ];
  },
};
