/**
 * `scale.ram`: what grows with the RAM that is mapped, from 1 GiB to 1 TiB in pages of 2 MiB. Only eight pages are really there; the rest
 * is address space without a reservation. For the guard this is the same: it looks at each large page's entry in the page map.
 *
 * `attach`, `resident`: attaching, and the guard's memory then. `index`: reading the frame of every large page. `find`: looking the
 * last frame up. `stall`: a recovery. Each round has a process and a guard of its own for each size.
 */

import { pfn } from "../src/linux/address.js";
import { PagemapReader } from "../src/linux/procfs/pagemap-reader.js";
import { FrameIndex } from "../src/recovery/frame-index.js";
import { SMALL_PAGE } from "../src/recovery/large-page.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import { Attached } from "./attached.js";
import type { Bench, Say } from "./bench.js";
import { curveMetric } from "./curve.js";
import { MeasuredProcess, SIZES } from "./measured-process.js";
import { residentBytes } from "./process-cost.js";
import { Rig } from "./rig.js";
import { median } from "./statistics.js";

const GIB = 1024 * 1024 * 1024;
/** Sizes that are measured, in GiB. One in the middle: there a bend is largest. */
export const pointsOfRam: readonly number[] = [1, 16, 128, 512, 1024];
const ROUNDS = 5;
const PAGES = 8;
/** In a round; as many before are not counted. */
const RECOVERIES = 20;
/** Lookups in a round. */
const FINDS = 25;
const PAGE = SIZES["2M"];

/** Milliseconds, and megabytes of memory, of one round. */
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
  const first = Number(start / BigInt(SMALL_PAGE));
  using pagemap = new PagemapReader(pid);
  const begun = performance.now();
  frames.ensure("ram", PAGE, pages);
  for (let page = 0; page < pages; page += 1) {
    const frame = pagemap.frameAt(first + page * (PAGE / SMALL_PAGE));
    if (typeof frame === "number") frames.note("ram", page, frame);
  }
  const index = performance.now() - begun;
  // What is not there is not looked through: as if all were.
  for (let page = 0; page < pages; page += 1) frames.note("ram", page, (pages + page) * (PAGE / SMALL_PAGE));
  const last = pfn((2 * pages - 1) * (PAGE / SMALL_PAGE));
  const finds = Array.from({ length: FINDS }, () => {
    const asked = performance.now();
    if (frames.find(last) === undefined) throw new Error("a frame that was noted is not found");
    return performance.now() - asked;
  });
  return { index, find: median(finds) };
}

async function costsOf(gib: number): Promise<Costs> {
  const mapped = gib * GIB;
  using folder = new TemporaryFolder();
  const idle = async (): Promise<Omit<Costs, "stall">> => {
    await using measured = await MeasuredProcess.start(PAGES, PAGE, mapped);
    await using guard = await Attached.start(measured.pid, folder.path);
    const resident = residentBytes(guard.pid) / 1e6;
    return { attach: guard.ms, resident, ...indexOnce(measured, mapped) };
  };
  const costs = await idle();
  await using rig = await Rig.start({ pages: PAGES, mapped });
  const stalls: number[] = [];
  for (let i = 0; i < 2 * RECOVERIES; i += 1) stalls.push((await rig.round(0)).stall / 1e6);
  return { ...costs, stall: median(stalls.slice(RECOVERIES)) };
}

async function take(say: Say): Promise<ReadonlyMap<number, readonly Costs[]>> {
  const all = new Map(pointsOfRam.map((gib): [number, Costs[]] => [gib, []]));
  // All sizes in each round: what the machine does meanwhile meets all of them.
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const [gib, costs] of all) {
      say(`a guard for ${gib} GiB of RAM, round ${round} of ${ROUNDS}`);
      costs.push(await costsOf(gib));
    }
  }
  return all;
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
    const all = [...(await take(say))];
    return CURVES.map(([name, unit]) => {
      const measured = all.map(([x, costs]) => ({ x, rounds: costs.map((cost) => cost[name]) }));
      return curveMetric(`scale.ram.${name}`, unit, "GiB of RAM", measured);
    });
  },
};
