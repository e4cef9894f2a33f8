/**
 * Other processes that map the VM's RAM. Looking for them means asking after every process's mappings, which is no work for the
 * moment in which a thread stands at an error: it is done at attach, now and then, and once more before a large page is replaced
 * that nobody has touched, put back, or given back.
 *
 * What is done now and then costs each guard the same share of a processor, however many processes and guards the host has: a look never
 * ends, goes on piece by piece, and takes longer where there is more to look at. It asks for shared mappings only.
 *
 * A sharer that comes between two looks and is missed loses nothing: the kernel has unmapped the poisoned page from all
 * processes, so its access raises SIGBUS, with a recovery or without. It is only warned of later.
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import { messageOf } from "../errors.js";
import { type FileId, findMappers, findMappersIn, type Mapper } from "../linux/procfs/mappers.js";
import { SharedFiles } from "../linux/procfs/shared-files.js";
import { readProcesses } from "../linux/procfs/tasks.js";

/** After so long the event loop gets its turn: a signal for QEMU must not wait for a scan of the whole host. */
const SLICE_MS = 1;
/** Errors often come in bursts: one look answers all of them. */
const FRESH_MS = 1000;

/** How the slow look goes. Exchanged only by tests. */
export interface SlowLook {
  /** It goes on so often, in milliseconds: each time is a wake-up. */
  readonly visitMs: number;
  /** For so many processes: the same work on a small host and on a large one. */
  readonly most: number;
  /** And for so long, in milliseconds. */
  readonly budgetMs: number;
  /** But for so many processes at least: a machine that is slow takes longer, but not for ever. */
  readonly least: number;
}

/**
 * Ten processes a second: a hundred take 10 s, a thousand 100 s. Each takes 10 to 20 µs (Linux 6.11 or later; before that 50 to 150, because its
 * mappings are read, and a thousand take up to four minutes).
 */
const SLOW_LOOK: SlowLook = { visitMs: 10_000, most: 100, budgetMs: 6, least: 40 };

/** A slow look that is under way. */
interface Round {
  readonly begun: number;
  readonly left: number[];
  readonly found: Mapper[];
}

/** See the head of the file. */
export class SharerWatch implements Disposable {
  readonly #pid: number;
  readonly #files: FileId[];
  readonly #slowLook: SlowLook;
  readonly #shared = new SharedFiles();
  #mappers: readonly Mapper[] = [];
  #names: readonly string[] = [];
  #round: Round | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** When the last look at all processes at once began, on performance.now()'s clock. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #announced = "";
  #announce: (names: readonly string[]) => void = () => {};

  /** @param pid the VM @param files its large-page files */
  constructor(pid: number, files: readonly FileId[], slowLook: SlowLook = SLOW_LOOK) {
    this.#pid = pid;
    this.#files = [...files];
    this.#slowLook = slowLook;
  }

  /** Looks now, before anything is traced, and then from time to time. */
  start(): void {
    this.lookNow();
    this.#visitLater();
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
    const begun = performance.now();
    if (begun - this.#lookedAt < FRESH_MS) return;
    const found: Mapper[] = [];
    try {
      let until = begun + SLICE_MS;
      for (const pid of this.#others()) {
        if (hurry()) return;
        found.push(...readable(findMappersIn(pid, this.#files)));
        if (performance.now() < until) continue;
        await nextTurn();
        until = performance.now() + SLICE_MS;
      }
    } catch (error) {
      return this.#keepSince(begun, () => rethrow(error));
    }
    this.#keepSince(begun, () => found);
  }

  /** Looks at all processes at once. */
  lookNow(): readonly string[] {
    this.#lookedAt = performance.now();
    this.#keep(() => findMappers(this.#files, [this.#pid]).mappers);
    return this.#names;
  }

  #others(): number[] {
    return this.#files.length === 0 ? [] : readProcesses().filter((pid) => pid !== this.#pid);
  }

  #visitLater(): void {
    this.#timer = setTimeout(() => void this.#visit(), this.#slowLook.visitMs);
  }

  /** Goes on with the slow look as far as it may, in slices. */
  async #visit(): Promise<void> {
    const now = performance.now();
    const { most, budgetMs, least } = this.#slowLook;
    try {
      let slice = now + SLICE_MS;
      for (let count = 0; count < most; count += 1) {
        if (count >= least && performance.now() >= now + budgetMs) break;
        this.#round ??= this.#newRound();
        const round = this.#round;
        this.#lookAtNext(round);
        if (round.left.length === 0) {
          this.#endRound(round);
          // Where there are few processes, all of them once in a visit is enough.
          if (round.begun >= now) break;
        }
        if (performance.now() < slice) continue;
        await nextTurn();
        if (this.#closed) return;
        slice = performance.now() + SLICE_MS;
      }
    } catch (error) {
      this.#keepSlow(this.#round?.begun ?? now, () => rethrow(error));
      this.#round = undefined;
    }
    this.#visitLater();
  }

  #newRound(): Round {
    const begun = performance.now();
    const left = this.#others().reverse();
    this.#shared.retain(left);
    return { begun, left, found: [] };
  }

  #endRound({ begun, found }: Round): void {
    this.#keepSlow(begun, () => found);
    this.#round = undefined;
  }

  #lookAtNext({ left, found }: Round): void {
    const pid = left.pop();
    if (pid === undefined) return;
    // One that maps the RAM privately was found by another look, and stays for as long as it does.
    const suspect = this.#mappers.some((mapper) => mapper.pid === pid) || this.#shared.has(pid, this.#files);
    if (suspect) found.push(...readable(findMappersIn(pid, this.#files)));
  }

  #keepSlow(begun: number, found: () => readonly Mapper[]): void {
    // A look that began later, and is over already, knows better.
    if (begun >= this.#lookedAt) this.#keep(found);
  }

  #keepSince(begun: number, found: () => readonly Mapper[]): void {
    if (begun < this.#lookedAt || this.#closed) return;
    this.#lookedAt = begun;
    this.#keep(found);
  }

  #keep(look: () => readonly Mapper[]): void {
    try {
      this.#mappers = look();
      this.#names = this.#mappers.map(({ pid, comm }) => `${pid} (${comm.trim()})`);
    } catch (error) {
      // Not knowing is a doubt, and in doubt nothing is replaced.
      this.#mappers = [];
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
    this.#shared[Symbol.dispose]();
  }
}

function rethrow(error: unknown): never {
  throw error;
}

/** A process that may not be read is passed over. */
function readable(found: readonly Mapper[] | "unreadable"): readonly Mapper[] {
  return found === "unreadable" ? [] : found;
}
