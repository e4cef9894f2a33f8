/**
 * `fault.1G`: how long the first touch of a small page takes that is not there yet, while the rest of a replaced page of 1 GiB is being
 * filled. Baseline: a server in C with the same rules and two threads as well, in a process of its own. `first`: the median of the first
 * touches, while the guard's threads are started.
 */

import type { Bench } from "./bench.js";
import { LOST } from "./bench-guard.js";
import { SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { Rig } from "./rig.js";
import { quantile } from "./statistics.js";

const ROUNDS = 5;
const MICROSECOND = 1000;
/** Touches in a round, and microseconds between them: as long as a fill takes, so that its beginning and its end count alike. */
const TOUCHES = 1000;
const GAP_US = 700;
/** So many touches are made while the guard's threads are started. */
const FIRST = 100;

/** See the head of the file. */
export const fault1G: Bench = {
  metrics: ["fault.1G.p50", "fault.1G.p99", "fault.1G.first"],
  summary: "first touches while a page of 1 GiB is being filled; a server in C",
  run: async (say) => {
    await using rig = await Rig.start({ pages: 1, pageSize: SIZES["1G"] });
    const ours: number[] = [];
    const theirs: number[] = [];
    const first: Record<"ours" | "theirs", number[]> = { ours: [], theirs: [] };
    for (let round = 1; round <= ROUNDS; round += 1) {
      say(`touching a page of 1 GiB while it is filled, round ${round} of ${ROUNDS}`);
      await rig.measured.tell(`warm ${2.5 * SIZES["1G"]}`);
      const strike = await rig.strike(0);
      const missing = await rig.measured.numbers(`missing 0 ${TOUCHES} ${GAP_US} ${LOST}`);
      await rig.settle(strike);
      await rig.measured.tell("remap 0");
      if (missing.length === 0) return nothingMissing(strike.event.fill);
      ours.push(...missing);
      first.ours.push(...missing.slice(0, FIRST));
      await rig.measured.tell(`warm ${1.25 * SIZES["1G"]}`);
      const served = await rig.measured.numbers(`served 0 ${TOUCHES} ${GAP_US}`);
      theirs.push(...served);
      first.theirs.push(...served.slice(0, FIRST));
    }
    const at = (share: number, values: readonly number[]): number => quantile(values, share) / MICROSECOND;
    return [
      metricOf("fault.1G.p50", "µs", at(0.5, ours), at(0.5, theirs), { limit: 2 }),
      metricOf("fault.1G.p99", "µs", at(0.99, ours), at(0.99, theirs)),
      metricOf("fault.1G.first", "µs", at(0.5, first.ours), at(0.5, first.theirs)),
    ];
  },
};

function nothingMissing(fill: string): { metric: string; notMeasured: string }[] {
  const notMeasured = `no small page was missing after the recovery (fill: ${fill}), so none could be touched for the first time`;
  return fault1G.metrics.map((metric) => ({ metric, notMeasured }));
}
