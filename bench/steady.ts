/**
 * `steady`: what a guard costs a process while nothing happens. Two processes take turns, one guarded and one not. The median of pieces of
 * a millisecond is compared: hardly any of them is interrupted, even where others want the processor too. `cpu.mean` sees the interruptions.
 *
 * `cpu`: computing. `churn`, `signals`: a thread or a signal and work, together a millisecond unguarded: 1,000 of them a second.
 * `thread`, `signal`: the same without the work.
 */

import { Resources } from "../test/framework/resources.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import type { Bench } from "./bench.js";
import { BenchGuard } from "./bench-guard.js";
import { MeasuredProcess } from "./measured-process.js";
import { type Metric, metricOf, type Promised } from "./metric.js";
import { median } from "./statistics.js";

const PIECE_NS = 1_000_000;
const MICROSECOND = 1000;
const TURNS = 25;
/** Pieces in a turn. */
const EACH = 40;

interface Kind {
  readonly name: string;
  /** Of the measured process; `rounds` of work come behind it. */
  readonly command: "spin" | "churn" | "signals";
  /** Without, what is left of a millisecond. */
  readonly rounds?: number;
  readonly promised?: Promised;
}

const KINDS: readonly Kind[] = [
  { name: "steady.cpu", command: "spin", promised: { limit: 1.01, least: 0.99 } },
  { name: "steady.churn", command: "churn", promised: { limit: 1.05 } },
  { name: "steady.thread", command: "churn", rounds: 0 },
  { name: "steady.signals", command: "signals" },
  { name: "steady.signal", command: "signals", rounds: 0 },
];

/** @returns the median of what a piece has taken in each turn on average */
function medianOfTurns(pieces: readonly number[]): number {
  const turns = Array.from({ length: TURNS }, (_, turn) => pieces.slice(turn * EACH, (turn + 1) * EACH));
  return median(turns.map((turn) => turn.reduce((sum, piece) => sum + piece, 0) / turn.length));
}

/** See the head of the file. */
export const steady: Bench = {
  metrics: [
    "steady.cpu",
    "steady.cpu.mean",
    "steady.churn",
    "steady.thread",
    "steady.signals",
    "steady.signal",
  ],
  summary: "computing, threads and signals of a guarded process; the same unguarded",
  run: async (say) => {
    await using resources = new Resources();
    const folder = resources.use(new TemporaryFolder()).path;
    const guarded = resources.use(await MeasuredProcess.start(1));
    const free = resources.use(await MeasuredProcess.start(1));
    resources.use(await BenchGuard.start(guarded.pid, { folder }));
    const roundsOfPiece = await free.number(`calibrate ${PIECE_NS}`);
    const metrics: Metric[] = [];
    for (const { name, command, rounds, promised } of KINDS) {
      say(`${name}: ${TURNS} turns`);
      const alone = command === "spin" ? 0 : median(await free.numbers(`${command} ${EACH} 0`));
      const work = rounds ?? Math.round(roundsOfPiece * Math.max(0, 1 - alone / PIECE_NS));
      const taken: Record<"guarded" | "free", number[]> = { guarded: [], free: [] };
      for (let turn = 0; turn < TURNS; turn += 1) {
        const pair = [
          ["guarded", guarded],
          ["free", free],
        ] as const;
        for (const [who, process] of turn % 2 === 0 ? pair : pair.toReversed())
          taken[who].push(...(await process.numbers(`${command} ${EACH} ${work}`)));
      }
      const compare = (metric: string, of: (pieces: readonly number[]) => number, promise?: Promised) =>
        metricOf(metric, "µs", of(taken.guarded) / MICROSECOND, of(taken.free) / MICROSECOND, promise);
      metrics.push(compare(name, median, promised));
      // A median does not see what stops the process now and then; a mean sees the neighbours too.
      if (command === "spin") metrics.push(compare(`${name}.mean`, medianOfTurns));
    }
    return metrics;
  },
};
