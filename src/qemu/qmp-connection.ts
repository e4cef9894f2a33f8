/**
 * One QMP session: greeting, capabilities, commands matched to answers by id, events as they come.
 *
 * A command that times out may still be carried out by QEMU later: only its answer is dropped. The connection stays
 * usable, since ids tell answers apart. An error without id (QEMU could not parse what we sent) or an answer to a
 * question nobody asked means that both sides are out of step: the connection ends.
 */

import { z } from "zod";
import { QemuError } from "./qemu-error.js";
import { stalledError } from "./qmp-connect-error.js";
import { EventHub, type EventListener, type QmpEvent } from "./qmp-events.js";
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

/** QEMU's version from its greeting. */
export interface QmpVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
  /** The distribution's own version, often empty. */
  readonly package: string;
}

/** A command that QEMU refused; its class is for example `CommandNotFound` (QEMU: qapi/error.json). */
export class QmpCommandError extends QemuError {
  override readonly name: string = "QmpCommandError";
  readonly class: string;

  constructor(command: string, errorClass: string, description: string) {
    super("HM_QMP_COMMAND", `QEMU refused ${command}: ${description}`, { present: errorClass });
    this.class = errorClass;
  }
}

/** Commands that may wait for their answer at the same time. */
const MAX_PENDING = 64;
const DEFAULT_TIMEOUT_MS = 5000;

const count = z.int().nonnegative();
/** Shape of `{"qemu":{…},"package":…}`, in the greeting and in query-version. */
export const versionSchema: z.ZodType<QmpVersion> = z
  .object({ qemu: z.object({ major: count, minor: count, micro: count }), package: z.string().max(1000) })
  .transform((v) => ({ ...v.qemu, package: v.package }));
const greetingSchema = z.object({
  QMP: z.object({ version: versionSchema, capabilities: z.array(z.unknown()) }),
});
const errorSchema = z.object({ class: z.string().max(1000), desc: z.string() });

interface Pending {
  readonly command: string;
  /** Null once the asker has gone. */
  answer: { resolve(value: unknown): void; reject(error: QemuError): void } | null;
}

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
    if (this.#pending.size >= MAX_PENDING) return Promise.reject(tooMany(path, this.#pending.size));
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

function greet(
  transport: QmpTransport,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  pending: Map<number, Pending>,
  hub: EventHub,
): Promise<QmpVersion> {
  return new Promise((resolve, reject) => {
    let greeted = false;
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const timer = setTimeout(
      () => setImmediate(() => !greeted && transport.close(stalledError(transport.path, timeoutMs))),
      timeoutMs,
    );
    const onAbort = (): void => transport.close(aborted(transport.path, signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    transport.start({
      onMessage(message) {
        if (greeted) {
          const problem = dispatch(message, pending, hub);
          if (problem !== null) transport.close(outOfStep(transport.path, problem));
          return;
        }
        const greeting = greetingSchema.safeParse(message);
        if (!greeting.success) {
          transport.close(outOfStep(transport.path, "no QMP greeting"));
          return;
        }
        greeted = true;
        stop();
        resolve(greeting.data.QMP.version);
      },
      onClose(reason) {
        stop();
        reject(reason);
        for (const { answer } of [...pending.values()]) answer?.reject(reason);
        pending.clear();
        hub.closed(reason);
      },
    });
  });
}

/** Routes one message. @returns what is wrong with it, or null */
function dispatch(message: JsonObject, pending: Map<number, Pending>, hub: EventHub): string | null {
  if ("event" in message) return hub.take(message) ? null : "a malformed event";
  const id = message["id"];
  const asked = typeof id === "number" ? pending.get(id) : undefined;
  if (asked === undefined || typeof id !== "number") {
    return `an answer nobody asked for: ${JSON.stringify(message).slice(0, 200)}`;
  }
  if ("return" in message) {
    pending.delete(id);
    asked.answer?.resolve(message["return"]);
    return null;
  }
  const error = errorSchema.safeParse(message["error"]);
  if (!error.success) return `neither a result nor an error for ${asked.command}`;
  pending.delete(id);
  asked.answer?.reject(new QmpCommandError(asked.command, error.data.class, error.data.desc.slice(0, 1000)));
  return null;
}

function outOfStep(path: string, present: string): QemuError {
  return new QemuError("HM_QMP_PROTOCOL", `${path} does not follow the QMP protocol`, {
    present,
    remedy: "Check that --qmp names a QMP socket (-qmp), not an HMP one (-monitor) or the guest agent's",
  });
}

function timedOut(command: string, path: string, timeoutMs: number): QemuError {
  return new QemuError("HM_QMP_TIMEOUT", `QEMU at ${path} has not answered ${command}`, {
    present: `no answer for ${Math.round(timeoutMs)} ms`,
    remedy: "QEMU's main loop is busy or stopped; the command may still take effect later",
  });
}

function tooMany(path: string, pending: number): QemuError {
  return new QemuError("HM_QMP_STALLED", `QEMU at ${path} answers none of many commands`, {
    present: `${pending} without an answer`,
    expected: `fewer than ${MAX_PENDING}`,
  });
}

export type { EventListener, QmpEvent };
