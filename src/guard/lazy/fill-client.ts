/**
 * The two threads behind a guard's lazy replacements: one serves faults, one fills. Started when they are needed, ended with the last
 * replacement, because at rest they would cost memory.
 */

import type { FillOrder, FromWorker } from "./fill-messages.js";
import { FillWorker, type WorkerListener } from "./fill-worker.js";

/** See the head of the file. */
export class FillClient {
  readonly #listener: WorkerListener;
  #server: FillWorker | undefined;
  #filler: FillWorker | undefined;
  /** What is not served by the thread yet, and so not filled either. */
  readonly #coming = new Map<number, FillOrder>();
  #hurrying = false;
  #ended = false;

  constructor(listener: WorkerListener) {
    this.#listener = listener;
  }

  /**
   * @param order beside what they have already; `serving` is told when the thread serves it, which takes some tens of milliseconds
   * @throws SystemCallError
   */
  fill(order: FillOrder): void {
    // Nobody waits for any of it.
    if (order.full) return this.#fillInBackground(order);
    this.#coming.set(order.id, order);
    this.#server ??= this.#start("serve-thread.js");
    this.#server.take(order);
  }

  /** No limit from now on for all that they have. */
  hurry(): void {
    this.#hurrying = true;
    this.#filler?.say({ kind: "hurry" });
  }

  /** There is no such replacement any more. */
  drop(id: number): void {
    this.#coming.delete(id);
    for (const worker of [this.#server, this.#filler]) worker?.say({ kind: "drop", id });
  }

  /** They let go of all they have, and nothing is told of them any more. */
  end(): void {
    this.#ended = true;
    this.#server?.end();
    this.#filler?.end();
  }

  #start(module: "serve-thread.js" | "fill-thread.js"): FillWorker {
    return new FillWorker(module, {
      told: (message) => this.#hear(message),
      died: (error) => this.#fail(error),
    });
  }

  #hear(message: FromWorker): void {
    this.#listener.told(message);
    if (message.kind === "complete") this.#filler?.say({ kind: "look" });
    if (message.kind !== "serving") return;
    const order = this.#coming.get(message.id);
    this.#coming.delete(message.id);
    try {
      // Only now: the start of a thread takes a processor, which whoever waits for a page may need.
      if (order !== undefined) this.#fillInBackground(order);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fillInBackground(order: FillOrder): void {
    this.#filler ??= this.#start("fill-thread.js");
    this.#filler.take(this.#hurrying ? { ...order, rate: Number.POSITIVE_INFINITY } : order);
  }

  /** Whoever is told ends what is left: one without the other is not worth having. */
  #fail(error: Error): void {
    if (!this.#ended) this.#listener.died(error);
  }
}
