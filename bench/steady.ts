/**
 * `steady`: what a guard costs a process while nothing happens. Two processes take turns, one guarded and one not, in pieces short
 * enough that whatever else the machine does hits both alike.
 *
 * `cpu`: computing. `churn`, `signals`: 1,000 threads or signals a second, each followed by work, so that it takes one second unguarded.
 * `thread`, `signal`: one of them alone.
 */

import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import type { Bench } from "./bench.js";
import { BenchGuard } from "./bench-guard.js";
import { MeasuredProcess } from "./measured-process.js";
import { metricOf, type Promised } from "./metric.js";
import { Resources } from "./resources.js";
import { median } from "./statistics.js";

const MILLISECOND = 1_000_000;
const MICROSECOND = 1000;
/** A piece of pure work, in nanoseconds. */
const SPIN = 10 * MILLISECOND;
/** Threads or signals in a piece with work between, and without. */
const PACED = 100;
const BARE = 500;

interface Turn {
  readonly name: string;
  readonly command: string;
  readonly turns: number;
  readonly unit: string;
  /** Nanoseconds for one of the unit, in the whole answer. */
  readonly divisor: number;
  readonly promised: Promised;
}

function turnsOf(spin: number, threadWork: number, signalWork: number): readonly Turn[] {
  return [
    {
      name: "steady.cpu",
      command: `spin 1 ${spin}`,
      turns: 201,
      unit: "ms",
      divisor: MILLISECOND,
      promised: { limit: 1.01, least: 0.99 },
    },
    {
      name: "steady.churn",
      command: `churn 1 ${PACED} ${threadWork}`,
      turns: 21,
      unit: "ms",
      divisor: MILLISECOND,
      promised: { limit: 1.05 },
    },
    {
      name: "steady.thread",
      command: `churn 1 ${BARE} 0`,
      turns: 11,
      unit: "µs",
      divisor: MICROSECOND * BARE,
      promised: {},
    },
    {
      name: "steady.signals",
      command: `signals 1 ${PACED} ${signalWork}`,
      turns: 21,
      unit: "ms",
      divisor: MILLISECOND,
      promised: {},
    },
    {
      name: "steady.signal",
      command: `signals 1 ${BARE} 0`,
      turns: 11,
      unit: "µs",
      divisor: MICROSECOND * BARE,
      promised: {},
    },
  ];
}

/** See the head of the file. */
export const steady: Bench = {
  metrics: ["steady.cpu", "steady.churn", "steady.thread", "steady.signals", "steady.signal"],
  summary: "computing, threads and signals of a guarded process; the same unguarded",
  run: async (say) => {
    await using resources = new Resources();
    const folder = resources.use(new TemporaryFolder()).path;
    const guarded = resources.use(await MeasuredProcess.start(1));
    const free = resources.use(await MeasuredProcess.start(1));
    resources.use(await BenchGuard.start(guarded.pid, { folder }));
    const spin = await free.number(`calibrate ${SPIN}`);
    const each = async (command: string): Promise<number> =>
      (await free.number(`${command} 1 ${BARE} 0`)) / BARE;
    const work = (rest: number): number => Math.round((spin * Math.max(0, MILLISECOND - rest)) / SPIN);
    const turns = turnsOf(spin, work(await each("churn")), work(await each("signals")));
    const metrics = [];
    for (const { name, command, turns: count, unit, divisor, promised } of turns) {
      say(`${name}: ${count} turns`);
      const values: Record<"guarded" | "free", number[]> = { guarded: [], free: [] };
      for (let turn = 0; turn < count; turn += 1) {
        const pair = [
          ["guarded", guarded],
          ["free", free],
        ] as const;
        for (const [who, process] of turn % 2 === 0 ? pair : pair.toReversed())
          values[who].push((await process.number(command)) / divisor);
      }
      metrics.push(metricOf(name, unit, median(values.guarded), median(values.free), promised));
    }
    return metrics;
  },
};
