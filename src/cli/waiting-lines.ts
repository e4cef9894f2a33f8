/** Lines that wait for somebody to read them: bounded, the oldest give way. */

/** How many wait at most. A line has a few hundred bytes; a recovery that lost a lot has more. */
const MOST_LINES = 1000;
/** How many bytes wait at most. */
const MOST_BYTES = 4 * 2 ** 20;

/** See the head of the file. */
export class WaitingLines {
  readonly #lines: Buffer[] = [];
  readonly #dropped: (count: number) => string;
  #bytes = 0;
  #lost = 0;
  /** A line that was begun: it is never dropped, or the next one would be glued to its beginning. */
  #begun: Buffer | undefined;

  /** @param dropped the line that says how many lines are missing at its place */
  constructor(dropped: (count: number) => string) {
    this.#dropped = dropped;
  }

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#begun === undefined && this.#lines.length === 0;
  }

  /** @param line with its newline */
  add(line: string): void {
    const bytes = Buffer.from(line);
    this.#lines.push(bytes);
    this.#bytes += bytes.length;
    while (this.#lines.length > 1 && (this.#lines.length > MOST_LINES || this.#bytes > MOST_BYTES)) {
      this.#bytes -= this.#lines.shift()?.length ?? 0;
      this.#lost += 1;
    }
  }

  /** Forgets all of them. */
  clear(): void {
    this.#lines.length = 0;
    this.#bytes = 0;
    this.#begun = undefined;
  }

  /**
   * Hands out what waits, in order, as long as it is taken.
   *
   * @param take takes bytes from the beginning; gives their number, 0 for "not now"
   */
  give(take: (bytes: Buffer) => number): void {
    for (;;) {
      this.#begun ??= this.#next();
      if (this.#begun === undefined) return;
      const taken = take(this.#begun);
      if (taken === 0) return;
      this.#begun = taken < this.#begun.length ? this.#begun.subarray(taken) : undefined;
    }
  }

  #next(): Buffer | undefined {
    if (this.#lost > 0) {
      const line = Buffer.from(this.#dropped(this.#lost));
      this.#lost = 0;
      return line;
    }
    const line = this.#lines.shift();
    this.#bytes -= line?.length ?? 0;
    return line;
  }
}
