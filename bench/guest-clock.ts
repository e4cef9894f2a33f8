/** What the guest of bench/c/guest.S says: how long it stood, and how fast it computes, in ticks of its time stamp counter. */

import { readFileSync } from "node:fs";

/** What the guest says on a line. */
interface Said {
  /** Longest time between two touches since the line before. */
  readonly longest: number;
  readonly now: number;
  /** Time it computed since then. */
  readonly ticks: number;
  readonly touches: number;
}

/** See the head of the file. */
export class GuestClock {
  readonly #file: string;
  #first: { readonly ticks: number; readonly at: number } | undefined;

  /** @param file where QEMU writes what it says */
  constructor(file: string) {
    this.#file = file;
  }

  #read(): Said[] {
    const lines = readFileSync(this.#file, "latin1").split("\n").slice(0, -1);
    const said = lines.map((line) => {
      const words = line.split(" ").map((word) => Number.parseInt(word, 16));
      const [longest = Number.NaN, now = Number.NaN, ticks = Number.NaN, touches = Number.NaN] = words;
      return { longest, now, ticks, touches };
    });
    const last = said.at(-1);
    if (last !== undefined) this.#first ??= { ticks: last.now, at: performance.now() };
    return said;
  }

  /** How many lines there are. */
  get lines(): number {
    return this.#read().length;
  }

  /** @param line the first one that counts @returns the longest time since then, in milliseconds */
  longestSince(line: number): number {
    const said = this.#read();
    return Math.max(...said.slice(line).map(({ longest }) => longest)) / this.#ticksInMs(said);
  }

  /** @param line the first one that counts @returns milliseconds for a million touches, for each line */
  paces(line: number): number[] {
    const said = this.#read();
    const ticksInMs = this.#ticksInMs(said);
    return said.slice(line).map(({ ticks, touches }) => ((ticks / touches) * 1_000_000) / ticksInMs);
  }

  #ticksInMs(said: readonly Said[]): number {
    const last = said.at(-1);
    if (last === undefined || this.#first === undefined) throw new Error("the guest has said nothing");
    return (last.now - this.#first.ticks) / (performance.now() - this.#first.at);
  }
}
