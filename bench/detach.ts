/** `detach`: from SIGTERM to the moment in which nobody traces the process any more. Compared with what is promised: 100 ms. */

import { readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Bench } from "./bench.js";
import { metricOf } from "./metric.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
const PROMISED_MS = 100;

/** See the head of the file. */
export const detach: Bench = {
  metrics: ["detach"],
  summary: "from SIGTERM until the process is free",
  run: async (say) => {
    const times: number[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      say(`letting go of a process, round ${round} of ${ROUNDS}`);
      await using rig = await Rig.start({ pages: 1 });
      const begun = performance.now();
      rig.guard.kill("SIGTERM");
      while (isTraced(rig.measured.pid)) await nextTurn();
      times.push(performance.now() - begun);
    }
    return [metricOf("detach", "ms", median(times), PROMISED_MS, { limit: 1 })];
  },
};

function isTraced(pid: number): boolean {
  return !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
}
