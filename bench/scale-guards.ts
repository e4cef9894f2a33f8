/**
 * `scale.guards`: up to 100 processes on one host, each with its guard.
 *
 * `attach`: attaching the last of them, while the others are there. `resident`: memory of all guards, pages they share counted once.
 * `cpu`: processor time of all guards at rest, over one period of their slowest timer: each looks at all processes of the host for others
 * that map its RAM, with a fixed budget.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Resources } from "../test/framework/resources.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import { acquire } from "../test/hugepages.js";
import { Attached } from "./attached.js";
import type { Bench } from "./bench.js";
import { curveMetric } from "./curve.js";
import { MeasuredProcess } from "./measured-process.js";
import type { Point } from "./metric.js";
import { costOf, proportionalBytes } from "./process-cost.js";
import { median } from "./statistics.js";

const GUARDS = [1, 10, 30, 100] as const;
/** The last guards whose median stands for one point. */
const WINDOW = 5;
const SETTLE_S = 30;
const WATCH_S = 30;

/** See the head of the file. */
export const scaleGuards: Bench = {
  metrics: ["scale.guards.attach", "scale.guards.resident", "scale.guards.cpu"],
  summary: "1 to 100 guards on one host",
  run: async (say) => {
    await using resources = new Resources();
    resources.use(await acquire(GUARDS.at(-1) ?? 0));
    const folder = resources.use(new TemporaryFolder()).path;
    const guards: Attached[] = [];
    const attach: Point[] = [];
    const resident: Point[] = [];
    const cpu: Point[] = [];
    for (const count of GUARDS) {
      say(`starting guards up to ${count}`);
      while (guards.length < count) {
        const measured = resources.use(await MeasuredProcess.startOnePage());
        guards.push(resources.use(await Attached.start(measured.pid, folder)));
      }
      attach.push({ x: count, value: median(guards.slice(-WINDOW).map(({ ms }) => ms)) });
      say(`${count} guards at rest: ${SETTLE_S} s until they are, ${WATCH_S} s of watching`);
      await sleep(SETTLE_S * 1000);
      const used = (): number => guards.reduce((sum, { pid }) => sum + costOf(pid).cpu, 0);
      const [before, begun] = [used(), performance.now()];
      await sleep(WATCH_S * 1000);
      cpu.push({ x: count, value: (used() - before) / 1e6 / ((performance.now() - begun) / 1000) });
      const bytes = guards.reduce((sum, { pid }) => sum + proportionalBytes(pid), 0);
      resident.push({ x: count, value: bytes / 1e6 });
    }
    return [
      curveMetric("scale.guards.attach", "ms", "guards", attach),
      curveMetric("scale.guards.resident", "MB", "guards", resident),
      curveMetric("scale.guards.cpu", "ms/s", "guards", cpu),
    ];
  },
};
