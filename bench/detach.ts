/** `detach`: from SIGTERM to the moment in which nobody traces the process any more. Compared with what is promised: 100 ms. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { median } from "./median.js";
import type { Metric } from "./metric.js";
import { Rig } from "./rig.js";

const ROUNDS = 5;
const PROMISED_MS = 100;

/** @param progress called with a sentence now and then */
export async function benchDetach(progress: (text: string) => void): Promise<Metric[]> {
  const times: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`letting go of a process, round ${round} of ${ROUNDS}`);
    const folder = mkdtempSync(join(tmpdir(), "hugemend-bench-"));
    try {
      await using rig = await Rig.start(folder);
      const begun = performance.now();
      process.kill(rig.guardPid, "SIGTERM");
      while (isTraced(rig.victimPid)) await nextTurn();
      times.push(performance.now() - begun);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const value = median(times);
  return [
    { metric: "detach", value, unit: "ms", baseline: PROMISED_MS, ratio: value / PROMISED_MS, limit: 1 },
  ];
}

function isTraced(pid: number): boolean {
  return !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
}
