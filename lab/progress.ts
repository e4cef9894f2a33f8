/**
 * What the lab is doing, on standard error. A step is shown when it takes longer than a second: on a terminal as one line that counts
 * the seconds, elsewhere as one line when it begins to be long and one when it ends.
 */
export class Progress {
  readonly #terminal: boolean = process.stderr.isTTY === true;
  readonly #running: Map<symbol, Step> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #shown = false;

  /**
   * Runs `work` as a named step.
   *
   * @param text what is being done, for a person: `building the root disk`
   * @param work the work itself
   * @returns what the work returns
   */
  async step<T>(text: string, work: () => Promise<T>): Promise<T> {
    const key = Symbol(text);
    const step: Step = { text, since: Date.now(), announced: false };
    this.#running.set(key, step);
    this.#timer ??= setInterval(() => this.#tick(), 250);
    try {
      return await work();
    } finally {
      this.#running.delete(key);
      const seconds = (Date.now() - step.since) / 1000;
      if (step.announced) this.note(`${text}: ${seconds.toFixed(1)} s`);
      if (this.#running.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
        this.clear();
      }
    }
  }

  /** Prints one line of its own. */
  note(text: string): void {
    this.clear();
    process.stderr.write(`${text}\n`);
  }

  #tick(): void {
    const parts: string[] = [];
    for (const step of this.#running.values()) {
      const seconds = (Date.now() - step.since) / 1000;
      if (seconds < 1) continue;
      if (!step.announced && !this.#terminal) process.stderr.write(`${step.text} ...\n`);
      step.announced = true;
      parts.push(`${step.text} (${Math.floor(seconds)} s)`);
    }
    if (!this.#terminal || parts.length === 0) return;
    const width = process.stderr.columns > 0 ? process.stderr.columns : 80;
    process.stderr.write(`\r\x1b[K${parts.join(" · ").slice(0, width - 1)}`);
    this.#shown = true;
  }

  /** Takes the running line away, before something else is printed. */
  clear(): void {
    if (this.#shown) process.stderr.write("\r\x1b[K");
    this.#shown = false;
  }
}

interface Step {
  readonly text: string;
  readonly since: number;
  announced: boolean;
}
