/** A child process of a test, ended by its own id at the latest when the test leaves its scope. */

import { type ChildProcess, spawn } from "node:child_process";
import { LineReader } from "./line-reader.js";
import { inTime } from "./wait-until.js";

/** How a child ended: one of the two is null. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Standard input, output and error are pipes. */
export class Child implements AsyncDisposable {
  readonly pid: number;
  readonly output: LineReader;
  readonly errors: LineReader;
  /** Settles when it has ended and all its output was read. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;

  private constructor(name: string, process: ChildProcess) {
    const { pid, stdout, stderr } = process;
    if (pid === undefined || stdout === null || stderr === null)
      throw new Error(`${name} could not be started`);
    this.pid = pid;
    this.output = new LineReader(name, stdout);
    this.errors = new LineReader(name, stderr);
    this.#process = process;
    this.ended = new Promise((resolve) => {
      process.once("close", (code, signal) => resolve({ code, signal }));
    });
    // Writing to a child that has ended is no error of its own: what it should have answered is missed instead.
    process.stdin?.on("error", () => {});
  }

  /** @param words its arguments @throws Error if it cannot be started */
  static start(program: string, words: readonly string[]): Child {
    return new Child(program, spawn(program, words, { stdio: ["pipe", "pipe", "pipe"] }));
  }

  /** Whether it still exists. */
  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Writes one line to its standard input. */
  write(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }

  /** Ends its standard input. */
  closeInput(): void {
    this.#process.stdin?.end();
  }

  /** Sends a signal if it still exists: never to another process that got its id. */
  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** @returns how it ended @throws Error if it does not in time */
  end(): Promise<ChildEnd> {
    return inTime(`the end of process ${this.pid}`, this.ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive) this.kill("SIGKILL");
    await this.end();
  }
}
