/**
 * `steady.vm.cpu`: what a guard costs the guest of a stock QEMU with KVM that computes and touches its memory. One VM, in turns with a guard and
 * without, by the guest's own clock; medians of pieces of about 25 ms.
 */

import { Resources } from "../test/framework/resources.js";
import type { Bench } from "./bench.js";
import { BenchGuard } from "./bench-guard.js";
import { MeasuredVm } from "./measured-vm.js";
import { metricOf } from "./metric.js";
import { median } from "./statistics.js";

const TURNS = 10;
/** Pieces in a turn. */
const EACH = 40;
/** A guard that has just come looks around. */
const SETTLE = 20;

/** See the head of the file. */
export const steadyVm: Bench = {
  metrics: ["steady.vm.cpu"],
  summary: "computing in the guest of a guarded stock QEMU with KVM; the same unguarded",
  run: async (say) => {
    await using resources = new Resources();
    const vm = resources.use(await MeasuredVm.start("2M"));
    const guarded: number[] = [];
    const free: number[] = [];
    for (let turn = 1; turn <= TURNS; turn += 1) {
      say(`a guest with a guard and without, turn ${turn} of ${TURNS}`);
      {
        await using guard = await BenchGuard.start(vm.pid, { folder: vm.folder, qmp: vm.qmp });
        await vm.paces(SETTLE);
        guarded.push(...(await vm.paces(EACH)));
        await guard.stop();
      }
      await vm.paces(SETTLE);
      free.push(...(await vm.paces(EACH)));
    }
    return [metricOf("steady.vm.cpu", "ms", median(guarded), median(free), { limit: 1.01, least: 0.99 })];
  },
};
