/** The victim with large pages, and what tests say about them. */

import assert from "node:assert/strict";
import { acquire, type HeldHugepages } from "../hugepages.js";
import { Victim } from "./victim.js";

/** Bytes of a large page, unless a test says otherwise. */
export const LARGE_PAGE: number = 2 * 1024 * 1024;
/** Small pages in it. */
export const SMALL_PAGES = 512;

/** test/victims/large-pages.c with the large pages it needs. */
export class RamVictim implements AsyncDisposable {
  readonly victim: Victim;
  /** Address of its first large page. */
  readonly start: bigint;
  readonly pages: number;
  readonly pageSize: number;
  readonly #pool: HeldHugepages;

  private constructor(victim: Victim, pool: HeldHugepages) {
    this.victim = victim;
    this.start = BigInt(victim.words[0] ?? "none");
    this.pages = pool.count;
    this.pageSize = pool.pageSize;
    this.#pool = pool;
  }

  /** @param pages how many @param options more words for the victim @throws Error if the machine has not enough */
  static async start(
    pages = 4,
    options: {
      readonly pageSize?: number;
      readonly words?: readonly string[];
      readonly program?: string;
    } = {},
  ): Promise<RamVictim> {
    const pool = await acquire(pages, options.pageSize ?? LARGE_PAGE);
    try {
      const words = [pages, pool.pageSize, ...(options.words ?? [])];
      return new RamVictim(await Victim.start("large-pages", words, options.program), pool);
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.victim.pid;
  }

  /** Address of a byte of large page `page`. */
  at(page: number, offset = 0): bigint {
    return this.start + BigInt(page) * BigInt(this.pageSize) + BigInt(offset);
  }

  async poison(page: number): Promise<void> {
    assert.equal(await this.victim.ask(`poison ${page}`), "poison done");
  }

  /** Reads one byte of a large page: `ok`, `corrupt` or `lost CODE ADDRESS LSB`. */
  async touch(page: number, offset = 0): Promise<string> {
    const answer = await this.victim.ask(`touch ${page} ${offset}`);
    return answer.replace(/^touch /, "").replace(/^ok \d+$/, "ok");
  }

  /** @throws AssertionError unless large page `page` reads right but for `lost` small pages */
  async check(page: number, lost = 0): Promise<void> {
    const small = this.pageSize / 4096;
    assert.deepEqual(await this.victim.counts(`check ${page}`), {
      ok: small - lost,
      lost,
      corrupt: 0,
    });
  }

  /** Checks every large page. @param lost small pages lost per large page, by number */
  async checkAll(lost: Readonly<Record<number, number>> = {}): Promise<void> {
    for (let page = 0; page < this.pages; page++) await this.check(page, lost[page] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.victim[Symbol.asyncDispose]();
    await this.#pool[Symbol.asyncDispose]();
  }
}
