/**
 * `downtime.*.qemu`, `downtime.*.guest`: how long a VM of a stock QEMU with KVM stands still for a recovery with `--quiesce always`. A
 * virtual processor hits the error. `qemu` is from the monitor's STOP to its RESUME, by QEMU's own clock; `guest` is what the guest misses between
 * two touches of its memory: also the time until its processor is let go and the VM is paused.
 *
 * Baseline: QEMU's own `stop` and `cont` with nothing between, and the time of the request's algorithm in C, in turns in the same run. That is
 * as long as the request's VM stands at least; its way from the signal to the pause is left out in its favour.
 */

import { Resources } from "../test/framework/resources.js";
import type { Bench } from "./bench.js";
import { BenchGuard, LOST } from "./bench-guard.js";
import { MeasuredProcess, SIZES } from "./measured-process.js";
import { MeasuredVm, type Standing } from "./measured-vm.js";
import { metricOf } from "./metric.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
const MILLISECOND = 1_000_000;

/** How often in a round: pauses and requests are quick. */
interface Turn {
  readonly warmUp: number;
  readonly recoveries: number;
  readonly requests: number;
}

async function recover(vm: MeasuredVm, guard: BenchGuard): Promise<Standing> {
  let fill = "eager";
  const standing = await vm.standing(async () => {
    await vm.poison();
    ({ fill } = await guard.recovered());
  });
  if (fill === "lazy") await guard.filled();
  await vm.remap();
  return standing;
}

function downtimeOfQemu(size: "2M" | "1G", turn: Turn): Bench {
  const name = `downtime.${size}`;
  return {
    metrics: [`${name}.qemu`, `${name}.guest`],
    summary: `a VM of a stock QEMU paused for a page of ${size}iB; QEMU's pause and the request's algorithm in C`,
    run: async (say) => {
      say(`starting a VM with pages of ${size}iB`);
      await using resources = new Resources();
      const measured = resources.use(await MeasuredProcess.start(1, SIZES[size]));
      const vm = resources.use(await MeasuredVm.start(size));
      const guard = resources.use(
        await BenchGuard.start(vm.pid, { folder: vm.folder, qmp: vm.qmp, quiesce: "always" }),
      );
      const recoveries: Standing[] = [];
      const pauses: Standing[] = [];
      const requests: number[] = [];
      const memory = 1.25 * SIZES[size];
      for (let i = 0; i < turn.warmUp; i += 1) await recover(vm, guard);
      for (let round = 1; round <= ROUNDS; round += 1) {
        say(`recovering a page of ${size}iB of a stock QEMU, round ${round} of ${ROUNDS}`);
        await measured.tell(`warm ${memory}`);
        requests.push(...(await measured.numbers(`request 0 ${turn.requests} ${LOST} 0`)));
        for (let i = 0; i < turn.requests; i += 1) pauses.push(await vm.bare());
        await measured.tell(`warm ${memory}`);
        for (let i = 0; i < turn.recoveries; i += 1) recoveries.push(await recover(vm, guard));
      }
      const request = median(requests) / MILLISECOND;
      const compare = (what: "paused" | "guest", metric: string) =>
        metricOf(
          metric,
          "ms",
          median(recoveries.map((standing) => standing[what])),
          median(pauses.map((standing) => standing[what])) + request,
        );
      return [compare("paused", `${name}.qemu`), compare("guest", `${name}.guest`)];
    },
  };
}

/** Pages of 2 MiB. */
export const downtimeOfQemu2M: Bench = downtimeOfQemu("2M", { warmUp: 10, recoveries: 8, requests: 8 });
/** Pages of 1 GiB. */
export const downtimeOfQemu1G: Bench = downtimeOfQemu("1G", { warmUp: 2, recoveries: 2, requests: 1 });
