/**
 * The fill thread: serves faults and fills replacements, and nothing else. It never returns to an event loop: it waits in the kernel,
 * for a fault or for word from the guard.
 */

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { HugemendError, messageOf } from "../../errors.js";
import { clearWakeUp, waitReadable } from "../../linux/readiness.js";
import { FillError } from "../../recovery/page-fill.js";
import type { FillOrder, FillThreadData, FromFiller, ToFiller } from "./fill-messages.js";
import { FillRound } from "./fill-round.js";
import { MemoryIsShort } from "./memory-gate.js";

/** After trouble a replacement rests this long, in milliseconds: what it lacks may come. */
const REST_MS = 100;

// SAFETY: only fill-client.ts of this very build starts this thread, with this data.
const { wake, news } = workerData as FillThreadData;
const counter = new Int32Array(news);
const rounds: FillRound[] = [];
const resting = new Map<FillRound, number>();
let seen = 0;
let ended = false;
let turn = 0;

function say(message: FromFiller): void {
  parentPort?.postMessage(message);
}

function roundOf(order: FillOrder): FillRound {
  const { id, steps } = order;
  return new FillRound(order, {
    full: (lost) => say({ kind: "full", id, lost }),
    step: (step) => {
      if (steps === undefined) return;
      const noted = new Int32Array(steps);
      const before = Atomics.load(noted, 0);
      say({ kind: "step", id, step });
      Atomics.wait(noted, 0, before);
    },
  });
}

function takeWord(): void {
  const now = Atomics.load(counter, 0);
  if (now === seen || parentPort === null) return;
  seen = now;
  clearWakeUp(wake);
  for (;;) {
    const received = receiveMessageOnPort(parentPort);
    if (received === undefined) return;
    // SAFETY: as above.
    const message = received.message as ToFiller;
    if (message.kind === "end") ended = true;
    else if (message.kind === "hurry") for (const round of rounds) round.hurry();
    else {
      rounds.push(roundOf(message.order));
      say({ kind: "serving", id: message.order.id });
    }
  }
}

function drop(round: FillRound): void {
  round.close();
  rounds.splice(rounds.indexOf(round), 1);
  resting.delete(round);
}

/** Trouble with one replacement must not stop the others. */
function attempt(round: FillRound, action: () => void): void {
  const { id } = round.order;
  try {
    action();
  } catch (error) {
    if (error instanceof FillError && error.vanished) {
      drop(round);
      return say({ kind: "vanished", id });
    }
    if (!(error instanceof MemoryIsShort)) resting.set(round, performance.now() + REST_MS);
    const code = error instanceof HugemendError ? error.code : "HM_INTERNAL";
    say({ kind: "trouble", id, code, message: messageOf(error) });
  }
}

function stepOf(round: FillRound, now: number): void {
  attempt(round, () => {
    const result = round.step(now);
    if (result === undefined) return;
    drop(round);
    say({ kind: "filled", id: round.order.id, result });
  });
}

function pauseOf(round: FillRound, now: number): number {
  const rest = (resting.get(round) ?? 0) - now;
  return rest > 0 ? rest : round.pause(now);
}

while (!ended || rounds.length > 0) {
  takeWord();
  const now = performance.now();
  for (const round of [...rounds]) if ((resting.get(round) ?? 0) <= now) attempt(round, () => round.serve());
  const ready = rounds.filter((round) => pauseOf(round, now) <= 0);
  turn += 1;
  const next = ready[turn % ready.length];
  if (next !== undefined) stepOf(next, now);
  else if (!ended || rounds.length > 0) {
    const limit = Math.min(Infinity, ...rounds.map((round) => pauseOf(round, now)));
    const faults = rounds.filter((round) => round.watching && !resting.has(round));
    const watched = faults.map(({ order }) => order.job.userfaultfd);
    waitReadable([wake, ...watched], limit);
  }
  for (const [round, until] of resting) if (until <= performance.now()) resting.delete(round);
}
