/**
 * `stall`: how long a thread's access takes that hits an error and is recovered: SIGBUS stop, salvage, swap, release, and the access
 * itself. Measured by the thread, so nothing is left out. Baseline: the request's algorithm in C in the same process, in turns.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bench, Say } from "./bench.js";
import { LOST } from "./bench-guard.js";
import { SIZES } from "./measured-process.js";
import { metricOf } from "./metric.js";
import { Rig, type RigOptions } from "./rig.js";
import { median } from "./statistics.js";

const ROUNDS = 5;
const WARM_UP = 40;
const REST_MS = 20;
/** A lazy fill that was given up keeps a processor busy for a moment. */
const REST_AFTER_FILL_MS = 400;
/** A guard runs through all of it once, right after it has come (guard/rehearse.ts). */
const REHEARSAL_MS = 500;
const MICROSECOND = 1000;
const MILLISECOND = 1_000_000;

/** Medians, in nanoseconds. */
interface Turns {
  /** The very first recovery of a guard: of several guards. */
  readonly first: number;
  readonly stall: number;
  readonly request: number;
  /** Its algorithm alone, without the pause. */
  readonly bare: number;
  /** The same on shared anonymous memory, as the RAM is shared. */
  readonly shared: number;
  /** Reading the large page into a fresh memfd, in C. */
  readonly copy: number;
}

/** How much is done in a turn. */
interface Turn {
  readonly recoveries: number;
  readonly requests: number;
  /** Whether a lazy fill is waited for; else the large page comes back before, and the guard gives it up. */
  readonly settle: boolean;
  /** Bytes of memory had ready for the recoveries, and for the requests. */
  readonly memory: number;
}

/** Like an error a baseline comes out of a quiet moment: with data that is not in the processor's caches any more. */
async function rested(rig: Rig, count: number, memory: number, command: string): Promise<number> {
  await rig.measured.tell(`warm ${memory}`);
  const taken: number[] = [];
  for (let i = 0; i < count; i += 1) {
    await sleep(REST_MS);
    taken.push(await rig.measured.number(command));
  }
  return median(taken);
}

async function strikes(rig: Rig, count: number, { settle, memory }: Turn): Promise<number> {
  await rig.measured.tell(`warm ${memory}`);
  const stalls: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const strike = await rig.strike(0);
    if (settle) await rig.settle(strike);
    await rig.measured.tell("remap 0");
    stalls.push(strike.stall);
    // Errors do not come back to back: the guard gets ready for the next one meanwhile.
    await sleep(settle ? REST_MS : REST_AFTER_FILL_MS);
  }
  return median(stalls);
}

async function takeTurns(rig: Rig, first: number, turn: Turn, say: (round: number) => void): Promise<Turns> {
  const request = (shared: 0 | 1, paused: 0 | 1): Promise<number> =>
    rested(rig, turn.requests, turn.memory, `request 0 1 ${LOST} ${shared} ${paused}`);
  // Until the interpreter has compiled what it runs again and again.
  if (turn.recoveries > 1) await strikes(rig, WARM_UP, turn);
  const taken: Record<"stall" | "request" | "bare" | "shared" | "copy", number[]> = {
    stall: [],
    request: [],
    bare: [],
    shared: [],
    copy: [],
  };
  for (let round = 1; round <= ROUNDS; round += 1) {
    say(round);
    taken.request.push(await request(0, 1));
    taken.stall.push(await strikes(rig, turn.recoveries, turn));
    taken.bare.push(await request(0, 0));
    taken.shared.push(await request(1, 1));
    taken.copy.push(await rested(rig, turn.requests, turn.memory, "copies 0 1"));
  }
  return {
    first,
    stall: median(taken.stall),
    request: median(taken.request),
    bare: median(taken.bare),
    shared: median(taken.shared),
    copy: median(taken.copy),
  };
}

/** Of as many guards, each right after its start. */
async function firstOf(options: RigOptions): Promise<number> {
  const taken: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await using rig = await Rig.start(options);
    await sleep(REHEARSAL_MS);
    taken.push((await rig.strike(0)).stall);
    await rig.measured.tell("remap 0");
  }
  return median(taken);
}

async function turnsOf2M(say: Say, fill?: "lazy"): Promise<Turns> {
  const options = fill === undefined ? { pages: 2 } : { pages: 2, fill };
  const first = await firstOf(options);
  await using rig = await Rig.start(options);
  await sleep(REHEARSAL_MS);
  const turn = { recoveries: 30, requests: 30, settle: true, memory: 16 * SIZES["2M"] };
  return await takeTurns(rig, first, turn, (round) =>
    say(`recovering a page of 2 MiB${fill === undefined ? "" : ` (${fill})`}, round ${round} of ${ROUNDS}`),
  );
}

/** Nobody has reported what is bad: all of the page is read before it is replaced. */
async function unreportedOf1G(): Promise<number> {
  await using rig = await Rig.start({ pages: 1, pageSize: SIZES["1G"], unreported: true });
  await sleep(REHEARSAL_MS);
  return await strikes(rig, ROUNDS, {
    recoveries: ROUNDS,
    requests: 0,
    settle: true,
    memory: 1.25 * SIZES["1G"],
  });
}

async function turnsOf1G(say: Say): Promise<Turns> {
  const options = { pages: 1, pageSize: SIZES["1G"] };
  const first = await firstOf(options);
  await using rig = await Rig.start(options);
  await sleep(REHEARSAL_MS);
  const { event } = await rig.strike(0);
  await rig.measured.tell("remap 0");
  // An eager one takes seconds.
  const recoveries = event.fill === "lazy" ? 10 : 1;
  const turn = { recoveries, requests: 1, settle: false, memory: 1.25 * SIZES["1G"] };
  return await takeTurns(rig, first, turn, (round) =>
    say(`recovering a page of 1 GiB (${event.fill}), round ${round} of ${ROUNDS}`),
  );
}

/** Targets: half of what the request costs; for 1 GiB 1/500 of it, and 1.5 times what 2 MiB cost. */
export const stall2M: Bench = {
  metrics: [
    "stall.2M",
    "stall.2M.bare",
    "stall.2M.shared",
    "stall.2M.copy",
    "stall.2M.first",
    "stall.2M.lazy",
  ],
  summary: "access to a bad 2 MiB page until it is recovered; the request's algorithm in C",
  run: async (say) => {
    const { first, stall, request, bare, shared, copy } = await turnsOf2M(say);
    const lazy = await turnsOf2M(say, "lazy");
    const micro = (name: string, value: number, baseline: number, limit?: number) =>
      metricOf(name, "µs", value / MICROSECOND, baseline / MICROSECOND, limit === undefined ? {} : { limit });
    return [
      micro("stall.2M", stall, request, 0.5),
      micro("stall.2M.bare", stall, bare),
      micro("stall.2M.shared", stall, shared),
      micro("stall.2M.copy", stall, copy, 2.5),
      micro("stall.2M.first", first, request),
      micro("stall.2M.lazy", lazy.stall, lazy.request),
    ];
  },
};

/** The same for a page of 1 GiB. */
export const stall1G: Bench = {
  metrics: ["stall.1G", "stall.1G.shared", "stall.1G.of2M", "stall.1G.first", "stall.1G.unreported"],
  summary: "access to a bad 1 GiB page until it is recovered; the request's algorithm in C, and 2 MiB",
  run: async (say) => {
    const small = await turnsOf2M(say);
    const { first, stall, request, shared } = await turnsOf1G(say);
    const unreported = await unreportedOf1G();
    const milli = (name: string, value: number, baseline: number, limit?: number) =>
      metricOf(name, "ms", value / MILLISECOND, baseline / MILLISECOND, limit === undefined ? {} : { limit });
    return [
      milli("stall.1G", stall, request, 1 / 500),
      milli("stall.1G.shared", stall, shared),
      milli("stall.1G.of2M", stall, small.stall, 1.5),
      milli("stall.1G.first", first, request),
      milli("stall.1G.unreported", unreported, request),
    ];
  },
};
