import { within } from "./deadline.js";

interface Waiter {
  readonly from: number;
  readonly match: (line: string) => boolean;
  readonly found: (line: string) => void;
  readonly failed: (error: unknown) => void;
}

/** Text that arrives in pieces, kept as lines that can be waited for, also after they have come. */
export class LineLog {
  readonly lines: string[] = [];
  #rest = "";
  #waiters: Waiter[] = [];
  #ended: { readonly error: unknown } | undefined;
  #onLine: ((line: string) => void) | undefined;

  /** @param onLine told of each line as it comes */
  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** Takes the next piece of text. */
  push(text: string): void {
    const parts = (this.#rest + text).split("\n");
    this.#rest = parts.pop() ?? "";
    for (const part of parts) this.#add(part.replace(/\r$/, ""));
  }

  /** No more text will come: waits fail with `error`. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return;
    if (this.#rest !== "") this.#add(this.#rest);
    this.#rest = "";
    this.#ended = { error };
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.failed(error);
  }

  /**
   * The first line at or after index `from` that matches.
   *
   * @param what what is waited for, for the error
   * @throws LabError `HM_LAB_TIMEOUT`, or what `end` was given
   */
  async wait(what: string, match: (line: string) => boolean, timeoutMs: number, from = 0): Promise<string> {
    const there = this.lines.slice(from).find(match);
    if (there !== undefined) return there;
    if (this.#ended !== undefined) throw this.#ended.error;
    let waiter: Waiter | undefined;
    const line = new Promise<string>((found, failed) => {
      waiter = { from, match, found, failed };
      this.#waiters.push(waiter);
    });
    try {
      return await within(what, timeoutMs, line);
    } finally {
      this.#waiters = this.#waiters.filter((one) => one !== waiter);
    }
  }

  #add(line: string): void {
    const index = this.lines.push(line) - 1;
    this.#onLine?.(line);
    for (const waiter of [...this.#waiters]) {
      if (index < waiter.from || !waiter.match(line)) continue;
      this.#waiters = this.#waiters.filter((one) => one !== waiter);
      waiter.found(line);
    }
  }
}
