/**
 * Other processes that map the VM's RAM. Looking for them means reading every process's mappings, which is no work for the
 * moment in which a thread stands at an error: it is done at attach, now and then, and once more before a large page is replaced
 * that nobody has touched, or put back.
 *
 * A sharer that comes between two looks and is missed loses nothing: the kernel has unmapped the poisoned page from all
 * processes, so its access raises SIGBUS, with a recovery or without.
 */

import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../errors.js";
import { type FileId, findMappers, findMappersIn, type Mapper } from "../linux/procfs/mappers.js";
import { readProcesses } from "../linux/procfs/tasks.js";

const PERIOD_MS = 30_000;
/** After so long the event loop gets its turn: a signal for QEMU must not wait for a scan of the whole host. */
const SLICE_MS = 1;
/** Then the slow scan rests: each turn is a wake-up. */
const PAUSE_MS = 10;
/** Errors often come in bursts: one look answers all of them. */
const FRESH_MS = 1000;

/** See the head of the file. */
export class SharerWatch implements Disposable {
  readonly #pid: number;
  readonly #files: FileId[];
  #names: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** When the last look at all processes began, on performance.now()'s clock. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #announced = "";
  #announce: (names: readonly string[]) => void = () => {};

  /** @param pid the VM @param files its large-page files */
  constructor(pid: number, files: readonly FileId[]) {
    this.#pid = pid;
    this.#files = [...files];
  }

  /** Looks now, before anything is traced, and then from time to time. */
  start(): void {
    this.lookNow();
    this.#later();
  }

  /** `1234 (virtiofsd)` for each, as of the last look. */
  get names(): readonly string[] {
    return this.#names;
  }

  /**
   * The same for one file. RAM that was plugged in since the guard attached is unknown here: then all processes are looked at now,
   * which takes long, but only at the first error in it.
   */
  namesFor({ device, inode }: FileId): readonly string[] {
    if (this.#files.some((file) => file.device === device && file.inode === inode)) return this.#names;
    this.#files.push({ device, inode });
    return this.lookNow();
  }

  /** Tells of those that are known, and from now on whenever others are found. @param tell is never given an empty list */
  announce(tell: (names: readonly string[]) => void): void {
    this.#announce = tell;
    this.#announced = "";
    this.#tellNews();
  }

  /**
   * Looks at all processes, unless that was done in the last second. The event loop gets its turn after each of them.
   *
   * @param hurry asked before each process; as soon as it says true the last answer stays
   */
  async lookUnless(hurry: () => boolean): Promise<void> {
    if (performance.now() - this.#lookedAt >= FRESH_MS) await this.#look(hurry, () => nextTurn());
  }

  /** Looks at all processes at once. */
  lookNow(): readonly string[] {
    this.#lookedAt = performance.now();
    this.#keep(() => findMappers(this.#files, [this.#pid]).mappers);
    return this.#names;
  }

  #later(): void {
    this.#timer = setTimeout(() => void this.#lookSlowly(), PERIOD_MS);
  }

  async #lookSlowly(): Promise<void> {
    await this.#look(
      () => this.#closed,
      () => sleep(PAUSE_MS),
    );
    if (!this.#closed) this.#later();
  }

  async #look(hurry: () => boolean, rest: () => Promise<unknown>): Promise<void> {
    const begun = performance.now();
    let found: () => readonly Mapper[] = () => [];
    try {
      const mappers: Mapper[] = [];
      let until = begun + SLICE_MS;
      for (const pid of this.#files.length === 0 ? [] : readProcesses()) {
        if (hurry()) return;
        if (pid === this.#pid) continue;
        const these = findMappersIn(pid, this.#files);
        if (these !== "unreadable") mappers.push(...these);
        if (performance.now() < until) continue;
        await rest();
        until = performance.now() + SLICE_MS;
      }
      found = () => mappers;
    } catch (error) {
      found = () => {
        throw error;
      };
    }
    // A look that began later, and is over already, knows better.
    if (begun < this.#lookedAt || this.#closed) return;
    this.#lookedAt = begun;
    this.#keep(found);
  }

  #keep(look: () => readonly Mapper[]): void {
    try {
      this.#names = look().map(({ pid, comm }) => `${pid} (${comm.trim()})`);
    } catch (error) {
      // Not knowing is a doubt, and in doubt nothing is replaced.
      this.#names = [`unknown: ${messageOf(error)}`];
    }
    this.#tellNews();
  }

  #tellNews(): void {
    const names = this.#names.join(", ");
    if (names !== "" && names !== this.#announced) this.#announce(this.#names);
    this.#announced = names;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
