/**
 * A QMP session that survives the loss of its connection.
 *
 * A command in flight when the connection breaks is rejected and never repeated: whether QEMU carried it out is not
 * known. New commands wait for the next connection. Events that came in between are lost; listeners of `onReconnect`
 * ask QEMU for what they need to know. The attempts are bounded: when they are used up the client is closed for good.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.js";
import { QemuError } from "./qemu-error.js";
import { type ExecuteOptions, QmpConnection, type QmpExecutor } from "./qmp-connection.js";
import { EventHub, type EventListener } from "./qmp-events.js";
import type { QmpVersion } from "./qmp-greeting.js";
import { aborted, type JsonObject } from "./qmp-transport.js";

/** How a client connects and how long it tries. */
export interface QmpClientOptions {
  /** For each attempt, in milliseconds. */
  readonly connectTimeoutMs?: number;
  /** Attempts after a lost connection; the pause between them doubles from 50 ms up to 5 s. */
  readonly maxAttempts?: number;
  readonly signal?: AbortSignal;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
const DEFAULT_TIMEOUT_MS = 5000;

/** See the module's head. */
export class QmpClient implements QmpExecutor, Disposable {
  readonly path: string;
  readonly #options: Required<Omit<QmpClientOptions, "signal">>;
  readonly #hub: EventHub;
  readonly #stopper = new AbortController();
  readonly #reconnected = new Set<() => void>();
  #connection: QmpConnection;
  #reconnecting: Promise<void> | null = null;
  #closed: QemuError | null = null;
  #settleClosed: (reason: QemuError) => void = () => {};
  /** Resolves once no more connection will be tried. Never rejects. */
  readonly whenClosed: Promise<QemuError>;

  private constructor(path: string, connection: QmpConnection, hub: EventHub, options: QmpClientOptions) {
    this.path = path;
    this.#connection = connection;
    this.#hub = hub;
    this.#options = {
      connectTimeoutMs: options.connectTimeoutMs ?? 5000,
      maxAttempts: options.maxAttempts ?? 12,
    };
    this.whenClosed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    hub.onClosed((reason) => this.#onLost(reason));
    // It may have ended before we listened.
    if (connection.closedBy !== null) this.#onLost(connection.closedBy);
  }

  /**
   * Connects for the first time: one attempt, so that a wrong path is told at once.
   * @param path of QEMU's QMP socket
   * @throws QemuError as `QmpConnection.open`
   */
  static async connect(path: string, options: QmpClientOptions = {}): Promise<QmpClient> {
    const hub = new EventHub();
    const { connectTimeoutMs = 5000, signal } = options;
    const wait = { timeoutMs: connectTimeoutMs, ...(signal === undefined ? {} : { signal }) };
    const connection = await QmpConnection.open(path, { ...wait, hub });
    return new QmpClient(path, connection, hub, options);
  }

  /** QEMU's version, from the latest greeting. */
  get version(): QmpVersion {
    return this.#connection.version;
  }

  /** Why it is closed for good; null while it is connected or tries to be. */
  get closedBy(): QemuError | null {
    return this.#closed;
  }

  /** Whether a command would be sent at once. */
  get connected(): boolean {
    return this.#closed === null && this.#reconnecting === null;
  }

  async execute(command: string, args: JsonObject = {}, options: ExecuteOptions = {}): Promise<unknown> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    const start = performance.now();
    if (this.#reconnecting !== null) await this.#waitForConnection(command, timeoutMs, signal);
    if (this.#closed !== null) throw this.#closed;
    const left = Math.max(timeoutMs - (performance.now() - start), 1);
    return this.#connection.execute(command, args, { ...options, timeoutMs: left });
  }

  on(name: string, listener: EventListener): () => void {
    return this.#hub.on(name, listener);
  }

  /** @param listener called after each new connection: events may have been missed @returns stops listening */
  onReconnect(listener: () => void): () => void {
    this.#reconnected.add(listener);
    return () => this.#reconnected.delete(listener);
  }

  /** @param listener called when a connection is lost @returns stops listening */
  onDisconnect(listener: (reason: QemuError) => void): () => void {
    return this.#hub.onClosed(listener);
  }

  /**
   * Drops the connection and opens another: QEMU forgets what was sent and not yet begun (QEMU: monitor/qmp.c,
   * monitor_qmp_cleanup_queue_and_resume()).
   */
  renew(): void {
    this.#connection.close();
  }

  /** Ends it for good. May be called twice. */
  close(): void {
    this.#finish(new QemuError("HM_QMP_CLOSED", `The QMP session at ${this.path} was closed`));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #finish(reason: QemuError): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    this.#stopper.abort(reason);
    this.#connection.close();
    this.#settleClosed(reason);
  }

  #onLost(reason: QemuError): void {
    // Failed attempts to reconnect end here as well.
    if (this.#closed !== null || this.#reconnecting !== null) return;
    this.#reconnecting = this.#reconnect(reason).finally(() => {
      this.#reconnecting = null;
      if (this.#closed === null && this.#connection.closedBy !== null)
        this.#onLost(this.#connection.closedBy);
      else if (this.#closed === null) for (const listener of [...this.#reconnected]) listener();
    });
  }

  /** Never rejects. */
  async #reconnect(reason: QemuError): Promise<void> {
    let last: unknown = reason;
    let pause = FIRST_PAUSE_MS;
    for (let attempt = 0; attempt < this.#options.maxAttempts && this.#closed === null; attempt++) {
      try {
        await sleep(pause, undefined, { signal: this.#stopper.signal });
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
        const wait = {
          timeoutMs: this.#options.connectTimeoutMs,
          signal: this.#stopper.signal,
          hub: this.#hub,
        };
        this.#connection = await QmpConnection.open(this.path, wait);
        return;
      } catch (error) {
        last = error;
      }
    }
    this.#finish(
      new QemuError("HM_QMP_LOST", `The connection to QEMU at ${this.path} is lost and does not come back`, {
        present: `${this.#options.maxAttempts} attempts, the last one: ${messageOf(last)}`,
        remedy: "Check whether QEMU still runs, and that nothing else took its monitor socket",
        cause: last,
      }),
    );
  }

  async #waitForConnection(
    command: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const done = new AbortController();
    const given = signal === undefined ? done.signal : AbortSignal.any([signal, done.signal]);
    try {
      const timer = sleep(timeoutMs, "late", { signal: given });
      if ((await Promise.race([this.#reconnecting, timer])) !== "late") return;
    } catch {
      throw aborted(this.path, signal?.reason);
    } finally {
      done.abort();
    }
    throw new QemuError(
      "HM_QMP_TIMEOUT",
      `${command} was not sent: there is no connection to QEMU at ${this.path}`,
      {
        present: `none for ${Math.round(timeoutMs)} ms`,
      },
    );
  }
}
