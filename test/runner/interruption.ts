/** SIGINT or SIGTERM to a run of all tests: what runs is ended, and the sums are told all the same. */

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { descendantsOf, signalAll } from "./descendants.js";

/** How long what was asked to end may take; then it is killed. */
const COURTESY_MS = 5000;

/** Listens from its making until it is disposed of. */
export class Interruption implements Disposable {
  readonly #controller: AbortController = new AbortController();
  readonly #listeners: readonly (readonly [NodeJS.Signals, () => void])[];
  #ending: Promise<void> = Promise.resolve();

  constructor() {
    // One listener for each test file.
    setMaxListeners(0, this.#controller.signal);
    const signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];
    this.#listeners = signals.map((name) => [name, () => this.#interrupt(name)] as const);
    for (const [name, listener] of this.#listeners) process.on(name, listener);
  }

  /** Aborted by the first signal; its reason is an Error that names it. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Settles when all that this process started, and all that those started, has ended; at once if there was no signal. */
  get ended(): Promise<void> {
    return this.#ending;
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }

  #interrupt(name: NodeJS.Signals): void {
    if (this.signal.aborted) return;
    // Before the parents end: their children cannot be found by their parents afterwards.
    const running = descendantsOf(process.pid);
    this.#ending = endAll(running);
    // node:test writes into the reason: it must be an object (lib/internal/test_runner/test.js, #abortHandler).
    this.#controller.abort(new Error(`interrupted by ${name}`));
  }
}

async function endAll(running: ReturnType<typeof descendantsOf>): Promise<void> {
  signalAll(running, "SIGTERM");
  const deadline = performance.now() + COURTESY_MS;
  // Asks who is left, and wakes those that are stopped: they would not end otherwise.
  while (signalAll(running, "SIGCONT") > 0) {
    if (performance.now() > deadline) {
      signalAll(running, "SIGKILL");
      return;
    }
    await sleep(100);
  }
}
