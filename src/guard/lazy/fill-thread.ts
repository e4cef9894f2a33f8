/** The background filler: fills replacements piece by piece, and joins what is full to large pages. It serves nobody. */

import { releaseAllNative } from "../../linux/native-memory.js";
import type { FillOrder, ToWorker } from "./fill-messages.js";
import { FillRound } from "./fill-round.js";
import { WorkerLine } from "./worker-line.js";
import { WorkerRounds } from "./worker-rounds.js";

const line = new WorkerLine();
const rounds = new WorkerRounds<FillRound>(line);
let ended = false;
let turn = 0;

function roundOf(order: FillOrder): FillRound {
  const { id, steps } = order;
  return new FillRound(order, {
    full: (lost) => line.say({ kind: "full", id, lost }),
    step: (step) => {
      if (steps === undefined) return;
      const noted = new Int32Array(steps);
      const before = Atomics.load(noted, 0);
      line.say({ kind: "step", id, step });
      Atomics.wait(noted, 0, before);
    },
  });
}

function obey(message: ToWorker): void {
  if (message.kind === "take") rounds.add(roundOf(message.order));
  else if (message.kind === "drop") rounds.drop(message.id);
  else if (message.kind === "hurry") for (const round of rounds.all) round.hurry();
  else if (message.kind === "end") ended = true;
}

function stepOf(round: FillRound, now: number): void {
  const { id } = round.order;
  const lives = rounds.attempt(round, () => {
    const result = round.step(now);
    if (result === undefined) return;
    rounds.drop(id);
    line.say({ kind: "filled", id, result });
  });
  if (!lives) line.say({ kind: "vanished", id });
}

while (!ended) {
  for (const message of line.take()) obey(message);
  const now = performance.now();
  const ready = rounds.all.filter((round) => rounds.pauseOf(round, now) <= 0);
  // A join holds the kernel's locks on the VM's memory for a millisecond: not while somebody may miss a page that can be filled now.
  const filling = ready.filter((round) => !round.isJoining);
  const chosen = filling.length > 0 ? filling : ready;
  turn += 1;
  const next = chosen[turn % chosen.length];
  if (next !== undefined) stepOf(next, now);
  else if (!ended) line.wait([], rounds.pause(now));
}
rounds.dropAll();
releaseAllNative();
