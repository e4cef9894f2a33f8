/**
 * Standard output and error of a guard. Whoever reads them may stop reading: a terminal after Ctrl-S, a pipe into a pager. A write
 * that waits would keep the guard from passing on the VM's signals, so nothing here waits. The ledger holds everything anyway.
 *
 * Node writes to terminals synchronously (process I/O in its manual). A terminal is therefore opened anew, non-blocking: the
 * flag belongs to the open file description (open(2)), and the shell's own stays as it is. Pipes and sockets are written by
 * Node without waiting; files never wait for a reader.
 */

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import { WaitingLines } from "./waiting-lines.js";

/** How often a terminal that took nothing is tried again, in milliseconds. */
const RETRY_MS = 100;
/** How long the last lines may wait for a reader, in milliseconds. */
const FLUSH_MS = 1000;
/** Bytes that Node may keep for a pipe at a time. */
const PIPE_BYTES = 64 * 1024;

/** See the head of the file. */
export class LineOutput {
  readonly #waiting: WaitingLines;
  readonly #take: (bytes: Buffer) => number;
  readonly #unwritten: () => number;
  #broken = false;
  #retry: NodeJS.Timeout | undefined;

  /** @param descriptor 1 or 2 @param dropped the line that says how many lines were dropped */
  constructor(descriptor: 1 | 2, dropped: (count: number) => string) {
    this.#waiting = new WaitingLines(dropped);
    const terminal = isatty(descriptor) ? openAnew(descriptor) : undefined;
    if (terminal !== undefined) {
      this.#take = (bytes) => writeSync(terminal, bytes);
      this.#unwritten = () => 0;
      return;
    }
    const stream = descriptor === 1 ? process.stdout : process.stderr;
    stream.on("error", () => this.#giveUp());
    this.#take = (bytes) => {
      if (stream.writableLength >= PIPE_BYTES) return 0;
      stream.write(bytes);
      return bytes.length;
    };
    this.#unwritten = () => stream.writableLength;
  }

  /** Writes a line now, or later if nobody reads. Never waits, never throws. @param line with its newline */
  readonly write = (line: string): void => {
    if (this.#broken) return;
    this.#waiting.add(line);
    this.#push();
  };

  /** Gives the last lines some time. @returns after all are written, or after a second */
  async flush(): Promise<void> {
    const deadline = performance.now() + FLUSH_MS;
    while (!this.#broken && performance.now() < deadline) {
      this.#push();
      if (this.#waiting.empty && this.#unwritten() === 0) return;
      await sleep(10);
    }
  }

  #push(): void {
    if (this.#broken) return;
    try {
      this.#waiting.give(this.#take);
    } catch (error) {
      // Anything else, such as EIO of a terminal that was closed, does not pass.
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) this.#giveUp();
    }
    if (this.#waiting.empty) {
      clearInterval(this.#retry);
      this.#retry = undefined;
    } else this.#retry ??= setInterval(() => this.#push(), RETRY_MS).unref();
  }

  /** A reader that went away must not end the guard. */
  #giveUp(): void {
    this.#broken = true;
    this.#waiting.clear();
    clearInterval(this.#retry);
  }
}

/** @returns a descriptor of the same terminal that never waits; undefined when it must not be opened again */
function openAnew(descriptor: number): number | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  let opened: number | undefined;
  try {
    opened = openSync(`/proc/self/fd/${descriptor}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    // /dev/tty and a terminal of another mount namespace open as themselves; anything that is no terminal is not what we want.
    if (isatty(opened)) return opened;
    closeSync(opened);
  } catch {
    // Another user's terminal, after su: then Node's own way is all there is.
  }
  return undefined;
}
