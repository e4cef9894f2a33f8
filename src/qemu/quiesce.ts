/**
 * Pauses the VM for the moment of a swap, so that no disk I/O still lands in the page that is taken away.
 *
 * The law here: a VM paused by us never stays paused, and a VM paused by somebody else is never resumed by us. Where
 * the two cannot be told apart, the first wins. Before each `cont` QEMU is asked for its state: resuming one that has
 * just been migrated away would run it twice.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { PausingEvent, ResumedBy, ResumedEvent } from "../ledger/internal-events.js";
import type { PauseEnd, PauseLease } from "./pause-lease.js";
import { PauseWatch } from "./pause-watch.js";
import { QemuError } from "./qemu-error.js";
import { QmpCommands } from "./qmp-commands.js";
import type { QmpExecutor } from "./qmp-connection.js";
import { busy, connectionLost, stopTimedOut, stuck } from "./quiesce-error.js";

/** What a Quiescer needs from a QMP session; `QmpClient` is one. */
export interface QmpSession extends QmpExecutor {
  onDisconnect(listener: () => void): () => void;
  /** Non-null when it is closed for good. */
  readonly closedBy: QemuError | null;
}

/** Takes the records `pausing` and `resumed`, for the ledger. What it throws before the pause prevents the pause. */
export type PauseJournal = (event: PausingEvent | ResumedEvent) => void;

/** Limits in milliseconds. */
export interface QuiesceLimits {
  /** For QEMU to stop, disk flush included. Default 10000. */
  readonly stopMs?: number;
  /** Until `resume` reports trouble. Default 30000. */
  readonly resumeMs?: number;
}

/** Not running, and reached through vm_stop, which drains (QEMU: system/cpus.c), or not started yet. */
const DRAINED: ReadonlySet<string> = new Set(
  "debug internal-error io-error paused postmigrate prelaunch finish-migrate shutdown watchdog guest-panicked".split(
    " ",
  ),
);
/**
 * What a VM that we have stopped may be: a reset meanwhile turns `paused` into `prelaunch` (QEMU: system/runstate.c,
 * main_loop_should_exit; tried). Everything else is somebody else's doing, `postmigrate` above all.
 */
const RESUMABLE: ReadonlySet<string> = new Set(["paused", "prelaunch"]);
/** Long: behind a slow disk flush the first question gets its answer in the end; many more would only pile up. */
const ATTEMPT_MS = 30_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;

/** Pauses one VM, one pause at a time. */
export class Quiescer {
  readonly #session: QmpSession;
  readonly #commands: QmpCommands;
  readonly #journal: PauseJournal;
  readonly #limits: Required<QuiesceLimits>;
  #busy = false;
  #idle: Promise<unknown> = Promise.resolve();

  constructor(session: QmpSession, journal: PauseJournal, limits: QuiesceLimits = {}) {
    this.#session = session;
    this.#commands = new QmpCommands(session);
    this.#journal = journal;
    this.#limits = { stopMs: limits.stopMs ?? 10_000, resumeMs: limits.resumeMs ?? 30_000 };
  }

  /**
   * Pauses the VM, or finds it paused. The caller must let QEMU's threads go on meanwhile: `stop` waits for the vCPUs.
   * When this throws, a `stop` that takes effect late is undone behind the scenes (see `idle`).
   * @param signal gives up
   * @throws QemuError HM_QUIESCE_BUSY, HM_QUIESCE_TIMEOUT, and those of `QmpExecutor.execute`; what the journal throws
   */
  async pause(signal?: AbortSignal): Promise<PauseLease> {
    if (this.#busy) throw busy();
    this.#busy = true;
    const watch = new PauseWatch(this.#session, (listener) => this.#session.onDisconnect(listener));
    const mark = (): void => watch.mark();
    const wait = { timeoutMs: this.#limits.stopMs, ...(signal === undefined ? {} : { signal }) };
    let undoing = false;
    try {
      const { running, status } = await this.#commands.queryStatus({ ...wait, onAnswer: mark });
      if (!running) return this.#lease(watch, status, false);
      this.#journal({ event: "pausing", status });
      try {
        // Both in one go: nothing of ours, and at most one command of others, comes between marker and stop.
        await Promise.all([
          this.#commands.queryStatus({ ...wait, onAnswer: mark }),
          this.#commands.stop(wait),
        ]);
      } catch (error) {
        undoing = true;
        this.#idle = this.#end(watch).catch(() => {});
        const late = error instanceof QemuError && error.code === "HM_QMP_TIMEOUT";
        throw late ? stopTimedOut(error, this.#limits.stopMs) : error;
      }
      if (watch.stopped) return this.#lease(watch, status, true);
      // Somebody was faster: the VM stands because of them.
      this.#journal({ event: "resumed", by: "kept" });
      return this.#lease(watch, "paused", false);
    } catch (error) {
      if (!undoing) this.#release(watch);
      throw error;
    }
  }

  /**
   * Undoes the pause of a guard that died while it held the VM: for a ledger with an open `pausing`.
   * Nothing tells such a pause from one that an operator added later; a VM must not stay paused because of us.
   * @returns how it ended; `none` when the VM runs already, `kept` when it stands for another reason than a pause
   * @throws as `PauseLease.resume`
   */
  async undoLeftover(): Promise<ResumedBy> {
    if (this.#busy) throw busy();
    this.#busy = true;
    const watch = new PauseWatch(this.#session, (listener) => this.#session.onDisconnect(listener));
    return this.#limited(this.#end(watch));
  }

  /**
   * Resolves when no resuming, and no undoing of a late `stop`, is under way. Never rejects; may wait as long as QEMU hangs.
   * Await it, with a limit, before the session is closed: a `stop` that QEMU still works on would take effect with
   * nobody left to undo it but the next guard.
   */
  async idle(): Promise<void> {
    await this.#idle;
  }

  #lease(watch: PauseWatch, status: string, own: boolean): PauseLease {
    let ending: Promise<PauseEnd> | null = null;
    const resume = (): Promise<PauseEnd> => {
      if (ending === null) {
        const end = own ? this.#end(watch) : this.#leaveAlone(watch);
        this.#idle = end.catch(() => {});
        ending = this.#limited(end);
      }
      return ending;
    };
    const held = (): boolean => ending === null && !watch.interrupted;
    return {
      status,
      own,
      drained: own || DRAINED.has(status),
      get interrupted() {
        return watch.interrupted;
      },
      held,
      confirmHeld: async (options) => {
        const { running } = await this.#commands.queryStatus(options);
        return !running && held();
      },
      resume,
      async [Symbol.asyncDispose]() {
        await resume();
      },
    };
  }

  async #leaveAlone(watch: PauseWatch): Promise<PauseEnd> {
    this.#release(watch);
    return "found";
  }

  /** Ends a pause that may be ours. Goes on until QEMU has obeyed or is gone. */
  async #end(watch: PauseWatch): Promise<ResumedBy> {
    // A `cont` whose answer was lost may have worked all the same.
    let tried = false;
    const decide = async (): Promise<ResumedBy> => {
      // QEMU answers in order: behind this answer, no `stop` of ours is outstanding.
      const { running, status } = await this.#commands.queryStatus({ timeoutMs: ATTEMPT_MS });
      if (running && tried) return "guard";
      if (running) return watch.stopped || watch.interrupted ? "other" : "none";
      if ((watch.foreignStop && !tried) || !RESUMABLE.has(status)) return "kept";
      tried = true;
      await this.#commands.cont({ timeoutMs: ATTEMPT_MS });
      return "guard";
    };
    try {
      for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
        const by = await decide().catch((error: unknown) => {
          if (error instanceof QemuError) return null;
          throw error;
        });
        if (by !== null) {
          this.#journal({ event: "resumed", by });
          return by;
        }
        if (this.#session.closedBy !== null) throw connectionLost(this.#session.closedBy);
        await sleep(pause);
      }
    } finally {
      this.#release(watch);
    }
  }

  async #limited<T>(end: Promise<T>): Promise<T> {
    const done = new AbortController();
    const late = sleep(this.#limits.resumeMs, null, { signal: done.signal }).then(() => {
      throw stuck(this.#limits.resumeMs);
    });
    try {
      return await Promise.race([end, late]);
    } finally {
      done.abort();
    }
  }

  #release(watch: PauseWatch): void {
    watch[Symbol.dispose]();
    this.#busy = false;
  }
}
