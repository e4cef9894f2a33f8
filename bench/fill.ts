/**
 * `fill.1G`: GiB a second until all small pages of a replaced page are there; baseline: pread(2) of the whole page in large pieces into fresh memory.
 * An eager recovery fills while the thread stands, a lazy one afterwards. `fill.1G.large`: until the guard has joined them to large pages
 * again as well.
 *
 * `after.1G`: reading all of it then; baseline: a large page that nothing happened to, in turns.
 */

import type { Bench } from "./bench.js";
import { LOST } from "./bench-guard.js";
import { SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

/** Even, because two orders are taken in turns. */
const ROUNDS = 6;
const SECOND = 1_000_000_000;
const MILLISECOND = 1_000_000;
/** Pieces of the baseline, in bytes. */
const PIECE = 4 * 1024 * 1024;
/** A fill takes small pages first, and then large ones to join them to. */
const WARM = 2.5 * SIZES["1G"];
const RANDOM_READS = 2_000_000;

/** The page that goes bad, and the one that does not. */
const BAD = 0;
const GOOD = 1;

/** One recovery and its fill. @returns nanoseconds until all is there, and until the guard says that it is done */
async function fillOnce(rig: Rig): Promise<{ full: number; done: number }> {
  await rig.measured.tell(`warm ${WARM}`);
  const begun = performance.now();
  const strike = await rig.strike(BAD);
  const full = await rig.measured.number(`full ${BAD} ${LOST}`);
  await rig.settle(strike);
  return { full, done: (performance.now() - begun) * MILLISECOND };
}

/** See the head of the file. */
export const fill1G: Bench = {
  metrics: ["fill.1G", "fill.1G.cached", "fill.1G.large", "after.1G.sequential", "after.1G.random"],
  summary: "how fast 1 GiB is filled, and reading it afterwards",
  run: async (say) => {
    await using rig = await Rig.start({ pages: 2, pageSize: SIZES["1G"] });
    const { measured } = rig;
    const full: number[] = [];
    const done: number[] = [];
    const fresh: number[] = [];
    const cached: number[] = [];
    const order: Record<"small" | "large", number[]> = { small: [], large: [] };
    const random: Record<"small" | "large", number[]> = { small: [], large: [] };
    for (let round = 1; round <= ROUNDS; round += 1) {
      say(`filling a page of 1 GiB and reading it, round ${round} of ${ROUNDS}`);
      await measured.tell(`warm ${WARM / 2}`);
      fresh.push(await measured.number(`pieces ${BAD} 1 ${PIECE} 1`));
      cached.push(await measured.number(`pieces ${BAD} 1 ${PIECE} 0`));
      const filled = await fillOnce(rig);
      full.push(filled.full);
      done.push(filled.done);
      const pair = [
        [BAD, "small"],
        [GOOD, "large"],
      ] as const;
      // Who comes second finds another state of the processor and its caches: so each comes first in turn.
      for (const [page, into] of round % 2 === 1 ? pair : pair.toReversed()) {
        // The first reading of all fills page tables as well: it is not what is compared.
        await measured.tell(`check ${page} ${LOST}`);
        order[into].push(await measured.number(`order ${page} 1 ${LOST}`));
        random[into].push(await measured.number(`random ${page} 1 ${RANDOM_READS} ${LOST}`));
      }
      await measured.tell(`remap ${BAD}`);
    }
    const speed = (times: readonly number[]): number => SECOND / median(times);
    return [
      metricOf("fill.1G", "GiB/s", speed(full), speed(fresh), { least: 0.7 }),
      metricOf("fill.1G.cached", "GiB/s", speed(full), speed(cached)),
      metricOf("fill.1G.large", "GiB/s", speed(done), speed(fresh)),
      metricOf(
        "after.1G.sequential",
        "ms",
        median(order.small) / MILLISECOND,
        median(order.large) / MILLISECOND,
        { limit: 1.1 },
      ),
      metricOf(
        "after.1G.random",
        "ns",
        median(random.small) / RANDOM_READS,
        median(random.large) / RANDOM_READS,
      ),
    ];
  },
};
