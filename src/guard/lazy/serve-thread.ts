/**
 * The fault server: gives whoever waits for a page of a replacement that page, 4 KiB at a time, and does nothing else. What it shares with
 * the thread that fills is memory that says how far each replacement is, so neither waits for the other.
 */

import { releaseAllNative } from "../../linux/native-memory.js";
import { wakeAll } from "../../linux/userfaultfd-fill.js";
import { PageFill } from "../../recovery/page-fill.js";
import type { FillOrder, ToWorker } from "./fill-messages.js";
import { rehearseServing } from "./rehearse-serving.js";
import { WorkerLine } from "./worker-line.js";
import { type WorkerRound, WorkerRounds } from "./worker-rounds.js";

/** Until a page that could not be put in place is tried again: the VM was changing its mappings. */
const RETRY_MS = 1;

class ServeRound implements WorkerRound {
  readonly order: FillOrder;
  readonly #fill: PageFill;
  #toldComplete = false;

  constructor(order: FillOrder) {
    this.order = order;
    this.#fill = new PageFill(order.job);
  }

  /** Whom it has heard of and could not serve yet tells whoever comes next. Descriptors are the guard's to close. */
  close(): void {
    const { userfaultfd, base, source } = this.order.job;
    if (this.#fill.someoneWaits) wakeAll(userfaultfd, base, source.size);
  }

  pause(): number {
    return this.#fill.someoneWaits ? RETRY_MS : Infinity;
  }

  serve(): void {
    if (this.#fill.serve() === 0 || this.#toldComplete || !this.#fill.complete) return;
    this.#toldComplete = true;
    line.say({ kind: "complete", id: this.order.id });
  }
}

const line = new WorkerLine();
const rounds = new WorkerRounds<ServeRound>(line);
let ended = false;

try {
  rehearseServing();
} catch {
  // It serves all the same.
}

function obey(message: ToWorker): void {
  if (message.kind === "take") {
    rounds.add(new ServeRound(message.order));
    line.say({ kind: "serving", id: message.order.id });
  } else if (message.kind === "drop") rounds.drop(message.id);
  else if (message.kind === "end") ended = true;
}

while (!ended) {
  for (const message of line.take()) obey(message);
  const now = performance.now();
  // One whose VM has ended is dropped without a word: the thread that fills finds the same, and tells.
  for (const round of rounds.awake(now)) rounds.attempt(round, () => round.serve());
  const watched = rounds.awake(now).map(({ order }) => order.job.userfaultfd);
  if (!ended) line.wait(watched, rounds.pause(now));
}
rounds.dropAll();
releaseAllNative();
