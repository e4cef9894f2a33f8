/**
 * `rest.kit`: what a guard has laid out in the guarded process before there is an error: memory, page tables included, and
 * descriptors, from /proc before and after it attaches. Compared with what is promised, for an unguarded process has none of it.
 */

import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import type { Bench } from "./bench.js";
import { BenchGuard } from "./bench-guard.js";
import { MeasuredProcess, SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { anonymousBytes, descriptorsOf, pageTableBytes } from "./process-cost.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
/** Page tables, and what the process touches of its own while a thread of it is borrowed. */
const BESIDES = 65_536;

interface Kit {
  readonly bytes: number;
  readonly descriptors: number;
}

function stateOf({ pid }: MeasuredProcess): Kit {
  return { bytes: anonymousBytes(pid) + pageTableBytes(pid), descriptors: descriptorsOf(pid) };
}

/** @param pageSize of the RAM, one page @returns how much more the process has with a guard */
async function kitFor(pageSize: number): Promise<Kit> {
  using folder = new TemporaryFolder();
  await using measured = await MeasuredProcess.start(1, pageSize);
  const before = stateOf(measured);
  await using _guard = await BenchGuard.start(measured.pid, { folder: folder.path });
  const after = stateOf(measured);
  return { bytes: after.bytes - before.bytes, descriptors: after.descriptors - before.descriptors };
}

async function kits(pageSize: number): Promise<Kit> {
  const all: Kit[] = [];
  for (let round = 0; round < ROUNDS; round += 1) all.push(await kitFor(pageSize));
  return {
    bytes: median(all.map(({ bytes }) => bytes)),
    descriptors: Math.max(...all.map(({ descriptors }) => descriptors)),
  };
}

/** With RAM on pages of 2 MiB: a spare that has its memory already. */
export const kit2M: Bench = {
  metrics: ["rest.kit.2M"],
  summary: "memory that a guard has ready in a process with pages of 2 MiB",
  run: async (say) => {
    say(`attaching ${ROUNDS} times`);
    const { bytes } = await kits(SIZES["2M"]);
    const promised = SIZES["2M"] + BESIDES;
    return [metricOf("rest.kit.2M", "KiB", bytes / 1024, promised / 1024, { limit: 1 })];
  },
};

/** With RAM on pages of 1 GiB: a spare without memory, and the descriptor through which it is filled. */
export const kit1G: Bench = {
  metrics: ["rest.kit.1G", "rest.kit.1G.descriptors"],
  summary: "memory and descriptors that a guard has ready in a process with pages of 1 GiB",
  run: async (say) => {
    say(`attaching ${ROUNDS} times`);
    const { bytes, descriptors } = await kits(SIZES["1G"]);
    return [
      metricOf("rest.kit.1G", "KiB", bytes / 1024, BESIDES / 1024, { limit: 1 }),
      metricOf("rest.kit.1G.descriptors", "", descriptors, 1, { limit: 1 }),
    ];
  },
};
