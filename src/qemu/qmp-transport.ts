/**
 * Lines of JSON over a Unix socket: the lowest layer of the QMP client (QEMU: docs/interop/qmp-spec.rst).
 *
 * Whatever comes out of the socket is untrusted: a line is bounded, must be UTF-8 and a JSON object. The first
 * violation ends the connection: after it nothing tells where the next message starts.
 */

import { statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { messageOf } from "../errors.js";
import { QemuError } from "./qemu-error.js";
import { connectError } from "./qmp-connect-error.js";

/** A JSON object as parsed; nothing about its fields is known. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Longest message accepted, in bytes. The largest known, query-qmp-schema, has 0.2 MiB. */
export const MAX_MESSAGE: number = 16 * 2 ** 20;
const NEWLINE = 10;

/** What the layer above does with messages and with the end. */
export interface TransportHandlers {
  readonly onMessage: (message: JsonObject) => void;
  /** Called exactly once. */
  readonly onClose: (reason: QemuError) => void;
}

/** How long, and until when, to try. */
export interface WaitOptions {
  /** In milliseconds. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A connected socket. */
export class QmpTransport {
  readonly path: string;
  readonly #socket: Socket;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true });
  #handlers: TransportHandlers | null = null;
  #pieces: Buffer[] = [];
  #length = 0;
  #reason: QemuError | null = null;

  private constructor(path: string, socket: Socket) {
    this.path = path;
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("error", (error) => this.#end(lost(path, messageOf(error), error)));
    socket.on("close", () => this.#end(lost(path, "QEMU has closed it or has ended")));
    socket.pause();
  }

  /**
   * @param path of the Unix socket
   * @throws QemuError HM_QMP_SOCKET_MISSING, HM_QMP_NOT_A_SOCKET, HM_QMP_SOCKET_DEAD, HM_QMP_DENIED, HM_QMP_STALLED, HM_QMP_SOCKET
   */
  static connect(path: string, { timeoutMs = 5000, signal }: WaitOptions = {}): Promise<QmpTransport> {
    return new Promise((resolve, reject) => {
      try {
        if (!statSync(path).isSocket()) {
          throw Object.assign(new Error("not a socket"), { code: "ENOTSOCK" });
        }
      } catch (error) {
        reject(connectError(path, error));
        return;
      }
      const socket = connect({ path });
      const settle = (error: QemuError | null): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        socket.removeAllListeners();
        if (error === null) {
          resolve(new QmpTransport(path, socket));
          return;
        }
        // A socket that fails while it is being destroyed must not throw.
        socket.on("error", () => {});
        socket.destroy();
        reject(error);
      };
      const onAbort = (): void => settle(aborted(path, signal?.reason));
      const timer = setTimeout(
        () => settle(connectError(path, Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }))),
        timeoutMs,
      );
      socket.once("connect", () => settle(null));
      socket.once("error", (error) => settle(connectError(path, error)));
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
    });
  }

  /** Begins to read. Messages that came before are delivered now. */
  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    if (this.#reason !== null) handlers.onClose(this.#reason);
    else this.#socket.resume();
  }

  /** Why it is closed; null while it is open. */
  get closedBy(): QemuError | null {
    return this.#reason;
  }

  /** Sends one message. Silently dropped when closed: `onClose` has told already. */
  send(message: JsonObject): void {
    if (this.#reason === null) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** Ends the connection; `onClose` gets the reason. */
  close(reason: QemuError = new QemuError("HM_QMP_CLOSED", "The connection to QEMU was closed")): void {
    this.#end(reason);
  }

  #take(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      this.#pieces.push(bytes.subarray(start, end));
      const line = Buffer.concat(this.#pieces);
      this.#pieces = [];
      this.#length = 0;
      start = end + 1;
      this.#deliver(line);
      if (this.#reason !== null) return;
    }
    if (start < bytes.length) this.#pieces.push(bytes.subarray(start));
    this.#length += bytes.length - start;
    if (this.#length > MAX_MESSAGE)
      this.#end(garbage(this.path, `a message of more than ${MAX_MESSAGE} bytes`));
  }

  #deliver(line: Buffer): void {
    if (line.length > MAX_MESSAGE) {
      this.#end(garbage(this.path, `a message of ${line.length} bytes`));
      return;
    }
    let value: unknown;
    try {
      const text = this.#utf8.decode(line);
      // QEMU ends lines with CR LF; JSON knows CR as white space, and an empty line carries nothing.
      if (text.trim() === "") return;
      value = JSON.parse(text);
    } catch (error) {
      this.#end(garbage(this.path, JSON.stringify(line.toString("latin1", 0, 60)), error));
      return;
    }
    if (isJsonObject(value)) this.#handlers?.onMessage(value);
    else this.#end(garbage(this.path, JSON.stringify(value).slice(0, 60)));
  }

  #end(reason: QemuError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#pieces = [];
    this.#socket.destroy();
    this.#handlers?.onClose(reason);
  }
}

/** Whether parsed JSON is an object, not an array or a scalar. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The caller gave up. */
export function aborted(path: string, reason: unknown): QemuError {
  return new QemuError("HM_QMP_ABORTED", `Waiting for QEMU at ${path} was given up`, { cause: reason });
}

function lost(path: string, why: string, cause?: unknown): QemuError {
  return new QemuError("HM_QMP_LOST", `The connection to QEMU at ${path} is lost: ${why}`, { cause });
}

function garbage(path: string, present: string, cause?: unknown): QemuError {
  return new QemuError("HM_QMP_PROTOCOL", `${path} does not speak QMP`, {
    present,
    expected: "one JSON object a line",
    remedy: "Give --qmp a socket that QEMU opened with -qmp unix:PATH,server=on,wait=off",
    cause,
  });
}
