/** What the guest of bench/c/guest.S says: how long it stood, in ticks of its time stamp counter. */

import { readFileSync } from "node:fs";

/** What the guest says on a line. */
interface Said {
  /** Longest time between two touches since the line before. */
  readonly longest: number;
  readonly now: number;
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
      const [longest = Number.NaN, now = Number.NaN] = line
        .split(" ")
        .map((word) => Number.parseInt(word, 16));
      return { longest, now };
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
    const last = said.at(-1);
    if (last === undefined || this.#first === undefined) throw new Error("the guest has said nothing");
    const ticksInMs = (last.now - this.#first.ticks) / (performance.now() - this.#first.at);
    return Math.max(...said.slice(line).map(({ longest }) => longest)) / ticksInMs;
  }
}
