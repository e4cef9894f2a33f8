/**
 * `scale.ram`: what grows with the RAM that is mapped, from 1 GiB to 1 TiB in pages of 2 MiB. Only eight pages are really there; the rest
 * is address space without a reservation. For the guard this is the same: it looks at each large page's entry in the page map.
 *
 * `attach`, `resident`: attaching, and the guard's memory then. `index`: reading the frame of every large page. `find`: looking the
 * last frame up. `stall`: a recovery.
 */

import { hva, pfn } from "../src/linux/address.js";
import { PagemapReader } from "../src/linux/procfs/pagemap-reader.js";
import { FrameIndex } from "../src/recovery/frame-index.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import { Attached } from "./attached.js";
import type { Bench, Say } from "./bench.js";
import { curveMetric } from "./curve.js";
import { MeasuredProcess, SIZES } from "./measured-process.js";
import type { Point } from "./metric.js";
import { residentBytes } from "./process-cost.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const GIB = 1024 * 1024 * 1024;
const RAM_GIB = [1, 16, 128, 1024] as const;
const ROUNDS = 5;
const PAGES = 8;
const RECOVERIES = 20;
const PAGE = SIZES["2M"];

/** Milliseconds, and megabytes of memory. */
interface Costs {
  readonly attach: number;
  readonly resident: number;
  readonly index: number;
  readonly find: number;
  readonly stall: number;
}

/** As the guard's frame watch does it, in one go. @returns milliseconds */
function indexOnce({ pid, start }: MeasuredProcess, bytes: number): { index: number; find: number } {
  const frames = new FrameIndex();
  const pages = bytes / PAGE;
  using pagemap = new PagemapReader(pid);
  const begun = performance.now();
  frames.ensure("ram", PAGE, pages);
  for (let page = 0; page < pages; page += 1) {
    const entry = pagemap.at(hva(start + BigInt(page) * BigInt(PAGE)));
    if (entry?.pfn !== undefined) frames.note("ram", page, entry.pfn);
  }
  const read = performance.now();
  const last = pfn(512n * 123_456_789n);
  frames.note("ram", pages - 1, last);
  const noted = performance.now();
  if (frames.find(last) === undefined) throw new Error("a frame that was noted is not found");
  return { index: read - begun, find: performance.now() - noted };
}

async function costsOf(gib: number, say: Say): Promise<Costs> {
  const bytes = gib * GIB;
  using folder = new TemporaryFolder();
  const attach: number[] = [];
  const resident: number[] = [];
  const index: number[] = [];
  const find: number[] = [];
  {
    await using measured = await MeasuredProcess.start(PAGES, PAGE, bytes);
    for (let round = 1; round <= ROUNDS; round += 1) {
      say(`attaching to a process with ${gib} GiB of RAM, round ${round} of ${ROUNDS}`);
      await using guard = await Attached.start(measured.pid, folder.path);
      attach.push(guard.ms);
      resident.push(residentBytes(guard.pid) / 1e6);
      const costs = indexOnce(measured, bytes);
      index.push(costs.index);
      find.push(costs.find);
    }
  }
  await using rig = await Rig.start({ pages: PAGES, mapped: bytes });
  const stalls: number[] = [];
  for (let i = 0; i < 2 * RECOVERIES; i += 1) stalls.push((await rig.round(0)).stall / 1e6);
  const [a, r, i, f] = [attach, resident, index, find].map(median);
  return {
    attach: a ?? 0,
    resident: r ?? 0,
    index: i ?? 0,
    find: f ?? 0,
    stall: median(stalls.slice(RECOVERIES)),
  };
}

const CURVES = [
  ["attach", "ms"],
  ["resident", "MB"],
  ["index", "ms"],
  ["find", "ms"],
  ["stall", "ms"],
] as const;

/** See the head of the file. */
export const scaleRam: Bench = {
  metrics: ["scale.ram.attach", "scale.ram.resident", "scale.ram.index", "scale.ram.find", "scale.ram.stall"],
  summary: "attach, frame index, memory and recovery with 1 GiB to 1 TiB mapped",
  run: async (say) => {
    const costs: (readonly [number, Costs])[] = [];
    for (const gib of RAM_GIB) costs.push([gib, await costsOf(gib, say)]);
    return CURVES.map(([name, unit]) => {
      const points = costs.map(([x, cost]): Point => ({ x, value: cost[name] }));
      return curveMetric(`scale.ram.${name}`, unit, "GiB of RAM", points);
    });
  },
};
