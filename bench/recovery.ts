/**
 * `npm run bench`: what one recovery of a 2 MiB page costs, on a real process with real large pages.
 *
 * Value and baseline are taken in turns in the same run, in the same process, because these machines are noisy:
 * - `stall.2M`: how long a thread's access takes that hits poison and is recovered - SIGBUS stop, salvage, swap, release, and the
 *   access itself. Measured by the thread, so nothing is left out.
 * - baseline: a C loop that reads the same page with pread(2) into a fresh, mapped memfd.
 * - `resident`: the guard's resident memory after all that, in bytes.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "./median.js";
import type { Metric } from "./metric.js";
import { Rig } from "./rig.js";

const ROUNDS = 5;
const RECOVERIES_A_ROUND = 40;
const PAGE = 3;
const MICROSECOND = 1000;

/** Targets of this version; the run fails if one is missed. */
const MOST_STALL_RATIO = 2.5;
const MOST_RESIDENT = 70 * 1000 * 1000;

/** @param progress called with a sentence now and then */
export async function benchRecovery(progress: (text: string) => void): Promise<Metric[]> {
  const folder = mkdtempSync(join(tmpdir(), "hugemend-bench-"));
  try {
    await using rig = await Rig.start(folder);
    const stalls: number[] = [];
    const copies: number[] = [];
    // The first recoveries pay for a cold interpreter: told apart below.
    const first = await rig.numbers(`rounds ${PAGE} 1`);
    await rig.numbers(`rounds ${PAGE} ${RECOVERIES_A_ROUND}`);
    for (let round = 1; round <= ROUNDS; round += 1) {
      progress(`recovering a 2 MiB page, round ${round} of ${ROUNDS}`);
      copies.push(median(await rig.numbers(`copies ${PAGE} ${RECOVERIES_A_ROUND}`)));
      stalls.push(median(await rig.numbers(`rounds ${PAGE} ${RECOVERIES_A_ROUND}`)));
    }
    const stall = median(stalls) / MICROSECOND;
    const copy = median(copies) / MICROSECOND;
    const resident = residentBytes(rig.guardPid);
    return [
      {
        metric: "stall.2M",
        value: stall,
        unit: "µs",
        baseline: copy,
        ratio: stall / copy,
        limit: MOST_STALL_RATIO,
      },
      {
        metric: "stall.2M.first",
        value: median(first) / MICROSECOND,
        unit: "µs",
        baseline: copy,
        ratio: median(first) / MICROSECOND / copy,
      },
      {
        metric: "resident",
        value: resident,
        unit: "bytes",
        baseline: MOST_RESIDENT,
        ratio: resident / MOST_RESIDENT,
        limit: 1,
      },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kilobytes) * 1024;
}
