/**
 * One QMP session: greeting, capabilities, commands matched to answers by id, events as they come.
 *
 * A command that times out may still be carried out by QEMU later: only its answer is dropped. The connection stays
 * usable, since ids tell answers apart. An error without id (QEMU could not parse what we sent) or an answer to a
 * question nobody asked means that both sides are out of step: the connection ends.
 */

import type { QemuError } from "./qemu-error.js";
import type { Pending } from "./qmp-answers.js";
import { timedOut, tooMany } from "./qmp-errors.js";
import { EventHub, type EventListener } from "./qmp-events.js";
import { greet, type QmpVersion } from "./qmp-greeting.js";
import { aborted, type JsonObject, QmpTransport, type WaitOptions } from "./qmp-transport.js";

/** How to wait for an answer. */
export interface ExecuteOptions extends WaitOptions {
  /**
   * Called when the result arrives, in order with the events around it; the promise resolves a little later, when
   * following events may have been handed out already. Not called for a refused command, nor after a timeout.
   */
  readonly onAnswer?: () => void;
}

/** What can carry out QMP commands: a connection, or a client that reconnects. */
export interface QmpExecutor {
  /**
   * @param command QMP name
   * @param args its arguments
   * @returns the `return` member; unchecked
   * @throws QemuError HM_QMP_COMMAND (QEMU refused), HM_QMP_TIMEOUT, HM_QMP_ABORTED, HM_QMP_LOST, HM_QMP_CLOSED, HM_QMP_PROTOCOL
   */
  execute(command: string, args?: JsonObject, options?: ExecuteOptions): Promise<unknown>;
  /** @param name QMP event name, or `*` for all @returns stops listening */
  on(name: string, listener: EventListener): () => void;
}

/** Commands that may wait for their answer at the same time. */
const MAX_PENDING = 64;
const DEFAULT_TIMEOUT_MS = 5000;

/** An open session. */
export class QmpConnection implements QmpExecutor {
  readonly version: QmpVersion;
  readonly #transport: QmpTransport;
  readonly #hub: EventHub;
  readonly #pending: Map<number, Pending>;
  #nextId = 1;

  private constructor(
    transport: QmpTransport,
    version: QmpVersion,
    hub: EventHub,
    pending: Map<number, Pending>,
  ) {
    this.#transport = transport;
    this.version = version;
    this.#hub = hub;
    this.#pending = pending;
  }

  /**
   * Connects, waits for the greeting and leaves negotiation mode.
   * @param path of the socket
   * @param options `timeoutMs` is for the whole opening; `hub` gets the events
   * @throws QemuError HM_QMP_STALLED when the greeting does not come, and those of `QmpTransport.connect` and `execute`
   */
  static async open(
    path: string,
    options: WaitOptions & { readonly hub?: EventHub } = {},
  ): Promise<QmpConnection> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, hub = new EventHub() } = options;
    const deadline = performance.now() + timeoutMs;
    const transport = await QmpTransport.connect(path, options);
    const pending = new Map<number, Pending>();
    try {
      const version = await greet(transport, timeoutMs, signal, pending, hub);
      const connection = new QmpConnection(transport, version, hub, pending);
      const left = Math.max(deadline - performance.now(), 1);
      await connection.execute("qmp_capabilities", {}, { ...options, timeoutMs: left });
      return connection;
    } catch (error) {
      transport.close();
      throw error;
    }
  }

  /** Why it has ended; null while it is open. */
  get closedBy(): QemuError | null {
    return this.#transport.closedBy;
  }

  execute(command: string, args: JsonObject = {}, options: ExecuteOptions = {}): Promise<unknown> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    const { path } = this.#transport;
    if (this.closedBy !== null) return Promise.reject(this.closedBy);
    if (signal?.aborted === true) return Promise.reject(aborted(path, signal.reason));
    if (this.#pending.size >= MAX_PENDING)
      return Promise.reject(tooMany(path, this.#pending.size, MAX_PENDING));
    const id = this.#nextId++;
    // Made here, where the caller's stack is still known.
    const late = timedOut(command, path, timeoutMs);
    return new Promise((resolve, reject) => {
      const entry: Pending = { command, answer: null };
      const leave = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        entry.answer = null;
      };
      // After a blocked event loop timers run before the socket is read: the answer may be there already.
      const timer = setTimeout(() => setImmediate(() => entry.answer?.reject(late)), timeoutMs);
      const onAbort = (): void => entry.answer?.reject(aborted(path, signal?.reason));
      entry.answer = {
        resolve(value) {
          leave();
          options.onAnswer?.();
          resolve(value);
        },
        reject(error) {
          leave();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#pending.set(id, entry);
      this.#transport.send({ execute: command, arguments: args, id });
    });
  }

  on(name: string, listener: EventListener): () => void {
    return this.#hub.on(name, listener);
  }

  /** Ends the session; commands without an answer are rejected. */
  close(): void {
    this.#transport.close();
  }
}
