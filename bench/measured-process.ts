/** bench/c/measured.c with the large pages it needs: an unguarded process, until a guard attaches to it. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { Child } from "../test/framework/child.js";
import { acquire, type HeldHugepages } from "../test/hugepages.js";
import { cFlags, compiled } from "./compile.js";

/** Bytes of a large page. */
export const SIZES: Readonly<Record<"2M" | "1G", number>> = { "2M": 2 ** 21, "1G": 2 ** 30 };

/** The guard takes a process with such a name for QEMU. */
const NAME = "qemu-system-measured";
/** A command that copies a page of 1 GiB many times takes seconds, on a busy machine tens of them. */
const PATIENCE_MS = 120_000;

/** See the head of the file. */
export class MeasuredProcess implements AsyncDisposable {
  readonly pid: number;
  /** Address of its first large page. */
  readonly start: bigint;
  /** Bytes of RAM it uses. */
  readonly size: number;
  readonly #child: Child;
  readonly #pool: HeldHugepages | undefined;

  private constructor(child: Child, pool: HeldHugepages | undefined, start: bigint, size: number) {
    this.pid = child.pid;
    this.start = start;
    this.size = size;
    this.#child = child;
    this.#pool = pool;
  }

  /**
   * @param pages large pages it uses
   * @param pageSize bytes of one
   * @param mapped bytes of address space for all its RAM; what is beyond the pages is never touched
   * @throws Error if the kernel has not that many large pages, or gcc does not compile it
   */
  static async start(
    pages: number,
    pageSize: number = SIZES["2M"],
    mapped: number = pages * pageSize,
  ): Promise<MeasuredProcess> {
    const pool = await acquire(pages, pageSize);
    try {
      return await MeasuredProcess.#launch([pages, pageSize, mapped], pool);
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** One that uses a page of 2 MiB which somebody else had acquired, and gives back. @throws Error if it does not compile or start */
  static startOnePage(): Promise<MeasuredProcess> {
    return MeasuredProcess.#launch([1, SIZES["2M"], SIZES["2M"]], undefined);
  }

  static async #launch(
    words: readonly [pages: number, pageSize: number, mapped: number],
    pool: HeldHugepages | undefined,
  ): Promise<MeasuredProcess> {
    const child = Child.start(compiled("measured.c", NAME, cFlags), words.map(String));
    try {
      const [ready, , start] = (await child.output.next(PATIENCE_MS)).split(" ");
      if (ready !== "ready" || start === undefined)
        throw new Error(`the measured process said "${ready}" instead of "ready"`);
      return new MeasuredProcess(child, pool, BigInt(start), words[0] * words[1]);
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #ask(command: string): Promise<string[]> {
    this.#child.write(command);
    const [, ...words] = (await this.#child.output.next(PATIENCE_MS)).split(" ");
    const filled = words.filter((word) => word !== "");
    // It may have given up in the middle of an answer, and has then said why.
    await Promise.race([this.#child.ended, nextTurn()]);
    if (this.#child.alive) return filled;
    const complaint = this.#child.errors.all.join(" | ");
    throw new Error(`the measured process ended at ${command}: ${complaint}`);
  }

  /** @param command one that answers with nanoseconds or a count @throws Error if it does not */
  async numbers(command: string): Promise<number[]> {
    const words = await this.#ask(command);
    const numbers = words.map(Number);
    if (numbers.every((number) => number > 0)) return numbers;
    throw new Error(`the measured process answered ${JSON.stringify(words)} to ${command}`);
  }

  /** @param command one that answers with one number */
  async number(command: string): Promise<number> {
    const [number] = await this.numbers(command);
    if (number === undefined) throw new Error(`the measured process gave no number for ${command}`);
    return number;
  }

  /** @param command one that answers `done` @throws Error if it does not */
  async tell(command: string): Promise<void> {
    const answer = (await this.#ask(command)).join(" ");
    if (answer !== "done") throw new Error(`the measured process answered "${answer}" to ${command}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    await this.#pool?.[Symbol.asyncDispose]();
  }
}
