/**
 * `downtime`: how long the whole VM stands still for a recovery with `--quiesce always`, from the moment its monitor says that it
 * is paused until it says that it runs again. The monitor here obeys at once: this is the guard's own part, which downtime-qemu.ts
 * shows together with QEMU's. Baseline: the request's algorithm in C, which runs while the VM is paused.
 */

import type { Bench } from "./bench.js";
import { LOST } from "./bench-guard.js";
import { SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
const MILLISECOND = 1_000_000;

function downtime(size: keyof typeof SIZES, each: number): Bench {
  const name = `downtime.${size}`;
  return {
    metrics: [name],
    summary: `the VM paused for a page of ${size}iB; the request's algorithm in C`,
    run: async (say) => {
      await using rig = await Rig.start({ pages: 1, pageSize: SIZES[size], quiesce: true });
      const downtimes: number[] = [];
      const requests: number[] = [];
      await rig.round(0);
      for (let round = 1; round <= ROUNDS; round += 1) {
        say(`recovering a page of ${size}iB in a paused VM, round ${round} of ${ROUNDS}`);
        await rig.measured.tell(`warm ${SIZES[size]}`);
        requests.push(...(await rig.measured.numbers(`request 0 ${each} ${LOST} 0`)));
        await rig.measured.tell(`warm ${SIZES[size]}`);
        for (let i = 0; i < each; i += 1) downtimes.push((await rig.round(0)).event.ms.downtime);
      }
      return [metricOf(name, "ms", median(downtimes), median(requests) / MILLISECOND)];
    },
  };
}

/** A page of 2 MiB. */
export const downtime2M: Bench = downtime("2M", 10);
/** A page of 1 GiB. */
export const downtime1G: Bench = downtime("1G", 1);
