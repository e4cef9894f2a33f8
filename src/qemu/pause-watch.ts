/**
 * Follows who stops the VM and who lets it run while we hold it, from QEMU's events.
 *
 * Events do not say on whose behalf they were sent, but they come in order with the answers, and a `stop` sends STOP
 * only when it really stops a running VM (QEMU: system/cpus.c, do_vm_stop). So a marker command sent right before our
 * `stop` splits the stream: STOP between the two answers is ours, no STOP means that somebody else was faster.
 *
 * An operator's `stop` of a VM that we hold already changes nothing in QEMU and leaves no trace: it cannot be told, and
 * is lost when we resume. That is one more reason to hold a VM for milliseconds only. A stop that QEMU itself asks for
 * meanwhile is told by its own event, and kept.
 */

import type { QmpExecutor } from "./qmp-connection.js";
import type { QmpEvent } from "./qmp-events.js";

/** Events by which QEMU stops the VM itself, and the `action` that says so (QEMU: qapi/block-core.json, run-state.json). */
const STOPPING: Readonly<Record<string, string>> = {
  BLOCK_IO_ERROR: "stop",
  GUEST_PANICKED: "pause",
  WATCHDOG: "pause",
};

/** Watches one pause, from before the `stop` until it is over. */
export class PauseWatch implements Disposable {
  #log: ("STOP" | "RESUME")[] = [];
  #fault = false;
  #missed = false;
  readonly #leave: readonly (() => void)[];

  /** @param executor whose events to follow @param onDisconnect subscribes to the loss of its connection */
  constructor(executor: QmpExecutor, onDisconnect: (listener: () => void) => () => void) {
    const faulted = (event: QmpEvent): void => {
      if (event.data["action"] === STOPPING[event.name]) this.#fault = true;
    };
    this.#leave = [
      executor.on("STOP", () => this.#log.push("STOP")),
      executor.on("RESUME", () => this.#log.push("RESUME")),
      ...Object.keys(STOPPING).map((name) => executor.on(name, faulted)),
      onDisconnect(() => {
        this.#missed = true;
      }),
    ];
  }

  /** Forgets what came before. Call it while the marker's answer is being handled, not after. */
  mark(): void {
    this.#log = [];
    this.#fault = false;
  }

  /** Whether the VM was stopped after the mark: by us, if our `stop` was the next command. */
  get stopped(): boolean {
    return this.#log.includes("STOP");
  }

  /** Somebody let the VM run after it had stood, or we may have missed it with a lost connection. */
  get interrupted(): boolean {
    return this.#missed || this.#afterOurs.includes("RESUME");
  }

  /** Somebody else wants the VM to stand: a stop after an interruption, or QEMU's own. */
  get foreignStop(): boolean {
    const events = this.#afterOurs;
    return this.#fault || (events.includes("RESUME") && events.at(-1) === "STOP");
  }

  [Symbol.dispose](): void {
    for (const leave of this.#leave) leave();
  }

  /** The events after the one STOP that is ours; all, when there is none. */
  get #afterOurs(): readonly ("STOP" | "RESUME")[] {
    return this.#log.slice(this.#log.indexOf("STOP") + 1);
  }
}
