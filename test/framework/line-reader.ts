/** Lines of a child's output, one at a time. */

import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { inTime, PATIENCE_MS } from "./wait-until.js";

/** Keeps lines until somebody asks for them; remembers all of them for error messages. */
export class LineReader {
  readonly #name: string;
  readonly #unread: string[] = [];
  readonly #all: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  /** @param name of the child, for errors */
  constructor(name: string, stream: Readable) {
    this.#name = name;
    const lines = createInterface({ input: stream });
    lines.on("line", (line) => {
      this.#unread.push(line);
      this.#all.push(line);
      this.#wake?.();
    });
    lines.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** All lines so far. */
  get all(): readonly string[] {
    return this.#all;
  }

  /** Lines that nobody has asked for. */
  get unread(): readonly string[] {
    return this.#unread;
  }

  /** @returns the next line @throws Error when none comes in time or the child has ended */
  async next(patienceMs: number = PATIENCE_MS): Promise<string> {
    return inTime(`a line from ${this.#name}, last "${this.#all.at(-1) ?? ""}"`, this.#next(), patienceMs);
  }

  async #next(): Promise<string> {
    for (;;) {
      const line = this.#unread.shift();
      if (line !== undefined) return line;
      if (this.#ended)
        throw new Error(`${this.#name} has ended; its last lines: ${this.#all.slice(-5).join(" | ")}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
