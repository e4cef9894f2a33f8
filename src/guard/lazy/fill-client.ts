/** The guard's end of the fill thread: started with the first replacement, ended with the last, because at rest it would cost memory. */

import { Worker } from "node:worker_threads";
import { closeDescriptor } from "../../linux/pidfd.js";
import { createWakeUp, wakeUp } from "../../linux/readiness.js";
import type { FillOrder, FillThreadData, FromFiller, ToFiller } from "./fill-messages.js";

/** Enough for the code and a few replacements, in MiB. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 1 };

/** Who wants to know. */
export interface FillListener {
  told(message: FromFiller): void;
  /** The thread has ended although there was work; nobody serves now. */
  died(error: Error): void;
}

/** See the head of the file. */
export class FillClient {
  readonly #listener: FillListener;
  readonly #wake: number;
  readonly #news = new SharedArrayBuffer(4);
  readonly #worker: Worker;
  #ending = false;
  #over = false;

  /** Starts the thread; it serves after some tens of milliseconds. @throws SystemCallError */
  constructor(listener: FillListener) {
    this.#listener = listener;
    this.#wake = createWakeUp();
    const workerData: FillThreadData = { wake: this.#wake, news: this.#news };
    this.#worker = new Worker(new URL("./fill-thread.js", import.meta.url), {
      workerData,
      resourceLimits: LIMITS,
      execArgv: [],
    });
    // SAFETY: only fill-thread.ts of this very build is at the other end.
    this.#worker.on("message", (message) => this.#listener.told(message as FromFiller));
    this.#worker.once("error", (error) =>
      this.#gone(error instanceof Error ? error : new Error(String(error))),
    );
    this.#worker.once("exit", (code) => this.#gone(new Error(`the fill thread ended with code ${code}`)));
  }

  /** @param order to begin with, beside what it does already */
  fill(order: FillOrder): void {
    this.#say({ kind: "fill", order });
  }

  /** No limit from now on for all that it has. */
  hurry(): void {
    this.#say({ kind: "hurry" });
  }

  /** It ends when all it has is done. */
  end(): void {
    this.#ending = true;
    this.#say({ kind: "end" });
  }

  #say(message: ToFiller): void {
    if (this.#over) return;
    this.#worker.postMessage(message);
    Atomics.add(new Int32Array(this.#news), 0, 1);
    wakeUp(this.#wake);
  }

  #gone(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    closeDescriptor(this.#wake);
    if (!this.#ending) this.#listener.died(error);
  }
}
