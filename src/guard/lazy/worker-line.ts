/** The end of a serving or filling thread towards the guard. Such a thread never returns to an event loop: it waits in the kernel. */

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { clearWakeUp, waitReadable } from "../../linux/readiness.js";
import type { FromWorker, ToWorker, WorkerData } from "./fill-messages.js";

/** See the head of the file. One for each thread. */
export class WorkerLine {
  /** Readable when there may be word. */
  readonly #wake: number;
  readonly #news: Int32Array;
  #seen = 0;

  constructor() {
    // SAFETY: only fill-worker.ts of this very build starts such a thread, with this data.
    const { wake, news } = workerData as WorkerData;
    this.#wake = wake;
    this.#news = new Int32Array(news);
  }

  say(message: FromWorker): void {
    parentPort?.postMessage(message);
  }

  /** @returns what has been said since the last time */
  take(): ToWorker[] {
    const now = Atomics.load(this.#news, 0);
    if (now === this.#seen || parentPort === null) return [];
    this.#seen = now;
    const messages: ToWorker[] = [];
    for (;;) {
      const received = receiveMessageOnPort(parentPort);
      if (received === undefined) return messages;
      // SAFETY: as above.
      messages.push(received.message as ToWorker);
    }
  }

  /**
   * Waits for word, or for descriptors to be readable.
   *
   * @param milliseconds how long, at most; Infinity without a limit
   * @throws SystemCallError
   */
  wait(descriptors: readonly number[], milliseconds: number): void {
    // Not when word is taken: that may be so early that the wake-up is still to come, and nobody would clear it.
    if (waitReadable([this.#wake, ...descriptors], milliseconds).includes(this.#wake))
      clearWakeUp(this.#wake);
  }
}
