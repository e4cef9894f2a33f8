/**
 * `scale.guards`: up to 100 processes on one host, each with its guard.
 *
 * `attach`: attaching the last five of them, while the others are there. `resident`: memory of all guards, pages they share counted once.
 * `cpu`: processor time of all guards at rest, over one period of their slowest timer: each looks at the processes of the host for others
 * that map its RAM.
 *
 * Five rounds of guards at rest are five fifths of the guards that are there in the same time, each taken five times. One guard is watched
 * five times, and each round is the mean of four of these.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Resources } from "../test/framework/resources.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import { acquire } from "../test/hugepages.js";
import { Attached } from "./attached.js";
import type { Bench } from "./bench.js";
import { curveMetric, type Measured } from "./curve.js";
import { MeasuredProcess } from "./measured-process.js";
import { costOf, proportionalBytes } from "./process-cost.js";

/** Numbers of guards that are measured. One in the middle: there a bend is largest. */
export const pointsOfGuards: readonly number[] = [1, 10, 50, 100];
const ROUNDS = 5;
const SETTLE_S = 30;
const WATCH_S = 30;

/** What each guard has cost while it was watched: milliseconds of processor a second, and megabytes. */
interface Costs {
  readonly cpu: number[];
  readonly resident: number[];
}

async function watchOnce(guards: readonly Attached[], { cpu, resident }: Costs): Promise<void> {
  const used = guards.map(({ pid }) => costOf(pid).cpu);
  const begun = performance.now();
  await sleep(WATCH_S * 1000);
  const ms = performance.now() - begun;
  for (const [index, { pid }] of guards.entries()) {
    cpu.push((costOf(pid).cpu - (used[index] ?? Number.NaN)) / 1e3 / ms);
    resident.push(proportionalBytes(pid) / 1e6);
  }
}

/**
 * @param each what single guards have cost, at least five numbers
 * @param count how many guards there were
 * @returns what as many cost, five times
 */
export function roundsOf(each: readonly number[], count: number): number[] {
  return Array.from({ length: ROUNDS }, (_, round) => {
    const fifth = (index: number): boolean => index % ROUNDS === round;
    // Node collects garbage now and then: of a few guards a single half minute with it or without says little, so four of five count.
    const taken = each.filter((_, index) => (count < ROUNDS ? !fifth(index) : fifth(index)));
    return (taken.reduce((sum, cost) => sum + cost, 0) / taken.length) * count;
  });
}

/** See the head of the file. */
export const scaleGuards: Bench = {
  metrics: ["scale.guards.attach", "scale.guards.resident", "scale.guards.cpu"],
  summary: "1 to 100 guards on one host",
  run: async (say) => {
    await using resources = new Resources();
    resources.use(await acquire(Math.max(...pointsOfGuards)));
    const folder = resources.use(new TemporaryFolder()).path;
    const startOne = async (owner: Resources): Promise<Attached> => {
      const measured = owner.use(await MeasuredProcess.startOnePage());
      return owner.use(await Attached.start(measured.pid, folder));
    };
    const alone: number[] = [];
    for (let round = 1; round < ROUNDS; round += 1) {
      await using own = new Resources();
      alone.push((await startOne(own)).ms);
    }
    const guards: Attached[] = [];
    const curves: Record<"attach" | "resident" | "cpu", Measured[]> = { attach: [], resident: [], cpu: [] };
    for (const count of pointsOfGuards) {
      say(`starting guards up to ${count}`);
      while (guards.length < count) guards.push(await startOne(resources));
      const attach = guards.slice(-ROUNDS).map(({ ms }) => ms);
      curves.attach.push({ x: count, rounds: count === 1 ? [...alone, ...attach] : attach });
      const turns = Math.ceil(ROUNDS / count);
      say(`${count} guards at rest: ${SETTLE_S} s until they are, ${turns * WATCH_S} s of watching`);
      await sleep(SETTLE_S * 1000);
      const costs: Costs = { cpu: [], resident: [] };
      for (let turn = 0; turn < turns; turn += 1) await watchOnce(guards, costs);
      curves.cpu.push({ x: count, rounds: roundsOf(costs.cpu, count) });
      curves.resident.push({ x: count, rounds: roundsOf(costs.resident, count) });
    }
    return [
      curveMetric("scale.guards.attach", "ms", "guards", curves.attach),
      curveMetric("scale.guards.resident", "MB", "guards", curves.resident),
      curveMetric("scale.guards.cpu", "ms/s", "guards", curves.cpu),
    ];
  },
};
