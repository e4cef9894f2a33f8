/** All replacements of one VM that are being filled, and those that are full but not yet closed up. */

import { closeDescriptor } from "../../linux/pidfd.js";
import { wakeAll } from "../../linux/userfaultfd-fill.js";
import { newProgress } from "../../recovery/fill-progress.js";
import type { PageSource } from "../../recovery/large-page-reader.js";
import type { OverlayIdentity } from "../../recovery/overlay-name.js";
import { FillError, type FillJob } from "../../recovery/page-fill.js";
import type { Spare } from "../../recovery/spare.js";
import { FillClient } from "./fill-client.js";
import type { FillResult, FillStep, FromWorker } from "./fill-messages.js";
import { LocalFill } from "./local-fill.js";
import { joinInTurns } from "./local-joins.js";
import { wantsJoins } from "./range-joins.js";

/** A spare that is in place: of this guard, or of one before it. */
export type PlacedSpare = Pick<Spare, "userfaultfd" | "theirs" | "note" | "release">;

/** A replacement that is being filled. */
export interface Filling {
  readonly page: OverlayIdentity;
  readonly spare: PlacedSpare;
  readonly source: PageSource;
  /** When the error was seen, on performance.now()'s clock. */
  readonly since: number;
  /** Nothing in the background, whatever the policy. */
  readonly onlyTouched: boolean;
}

/** A replacement that is full. */
export interface Filled extends Filling {
  readonly result: FillResult;
  /** Whether a dead guard has filled it: some of what is lost now may have gone bad since. */
  readonly lookedFor: boolean;
}

/** How to fill. */
export interface FillPolicy {
  /** MiB a second in the background; Infinity without a limit; 0: only what is touched. */
  readonly fillRate: number;
}

/** Who wants to know. */
export interface LazyFillsListener {
  /** There is something to take. */
  wake(): void;
  /** A replacement is no longer mapped. @param theirs the VM's descriptor of its userfaultfd, which nobody needs any more */
  abandoned(theirs: number): void;
  /** Filling goes on, but something stands in its way. */
  trouble(page: OverlayIdentity, code: string, message: string): void;
  /** Called at each named point of the fill thread, which waits meanwhile; undefined if nobody wants to know. */
  readonly step: ((step: FillStep) => void) | undefined;
}

/** For this long the guard's own thread serves alone. */
const HAND_OVER_MS = 5;

interface Entry {
  readonly filling: Filling;
  readonly job: FillJob;
  local: LocalFill | undefined;
  /** When each 4 KiB is in place or marked; what is lost is not known if a dead guard has filled it. */
  full: { readonly lost: readonly number[] | undefined } | undefined;
}

/** See the head of the file. */
export class LazyFills {
  readonly #pid: number;
  readonly #processDescriptor: number;
  readonly #policy: FillPolicy;
  readonly #listener: LazyFillsListener;
  readonly #entries = new Map<number, Entry>();
  readonly #filled: Filled[] = [];
  readonly #told = new Set<string>();
  /** See FillOrder.steps. */
  readonly #steps: SharedArrayBuffer | undefined;
  #client: FillClient | undefined;
  #next = 1;
  #hurrying = false;
  #settled: (() => void)[] = [];

  constructor(pid: number, processDescriptor: number, policy: FillPolicy, listener: LazyFillsListener) {
    this.#pid = pid;
    this.#processDescriptor = processDescriptor;
    this.#policy = policy;
    this.#listener = listener;
    this.#steps = listener.step === undefined ? undefined : new SharedArrayBuffer(4);
  }

  /** The VM's descriptors that belong to replacements being filled. */
  get descriptors(): number[] {
    const filling = [...this.#entries.values()].map((entry) => entry.filling);
    return [...filling, ...this.#filled].map(({ spare }) => spare.theirs);
  }

  /** Whether anything is being filled. */
  get any(): boolean {
    return this.#entries.size > 0;
  }

  /** Begins to serve at once, on this thread, and then on another, and to fill, on a third. Never throws: faults must not wait for a reason. */
  start(filling: Filling): void {
    const id = this.#next;
    this.#next += 1;
    const job = newJob(filling);
    const entry: Entry = { filling, job, local: undefined, full: undefined };
    this.#entries.set(id, entry);
    // Whoever touched it while it moved has told so before anybody served.
    wakeAll(job.userfaultfd, job.base, job.source.size);
    entry.local = new LocalFill(this.#pid, job, (error) => this.#localTrouble(id, error));
    // Starting a thread takes this one some milliseconds, for which whoever comes right now would wait.
    setTimeout(() => this.#handOver(id), HAND_OVER_MS);
  }

  #handOver(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { filling, job } = entry;
    const chosen = filling.onlyTouched ? 0 : this.#policy.fillRate;
    const rate = this.#hurrying ? Number.POSITIVE_INFINITY : chosen;
    const order = {
      id,
      job,
      pid: this.#pid,
      processDescriptor: this.#processDescriptor,
      rate,
      collapse: wantsJoins(),
      full: entry.full !== undefined,
      steps: this.#steps,
    };
    try {
      this.#client ??= new FillClient({
        told: (message) => this.#hear(message),
        died: (error) => this.#fillHere(error),
      });
      this.#client.fill(order);
    } catch (error) {
      this.#fillHere(error);
    }
  }

  /** One that a dead guard has filled, and that nobody watches any more: what it has not joined is joined now. */
  closeUp(filling: Filling): void {
    const id = this.#next;
    this.#next += 1;
    this.#entries.set(id, { filling, job: newJob(filling), local: undefined, full: { lost: undefined } });
    setTimeout(() => this.#handOver(id), HAND_OVER_MS);
  }

  /** Takes a replacement that is full; undefined if there is none. */
  take(): Filled | undefined {
    return this.#filled.shift();
  }

  /** Fills all there is as fast as it can. @returns when nothing is being filled any more */
  async finishAll(): Promise<void> {
    if (this.#entries.size === 0) return;
    // What is not handed over yet is told when it is.
    this.#hurrying = true;
    this.#client?.hurry();
    await new Promise<void>((resolve) => this.#settled.push(resolve));
  }

  #hear(message: FromWorker): void {
    const entry = this.#entries.get(message.id);
    if (entry === undefined) return;
    if (message.kind === "serving") {
      entry.local?.stop();
      entry.local = undefined;
      // What this thread has heard of and could not serve yet is told again.
      wakeAll(entry.job.userfaultfd, entry.job.base, entry.job.source.size);
    } else if (message.kind === "full") entry.full = { lost: message.lost };
    else if (message.kind === "step") this.#note(message.step);
    else if (message.kind === "filled") this.#done(message.id, message.result);
    else if (message.kind === "vanished") this.#forget(message.id);
    else if (message.kind === "trouble") this.#tellOnce(entry.filling, message.code, message.message);
  }

  #note(step: FillStep): void {
    this.#listener.step?.(step);
    if (this.#steps === undefined) return;
    const noted = new Int32Array(this.#steps);
    Atomics.add(noted, 0, 1);
    Atomics.notify(noted, 0);
  }

  #done(id: number, result: FillResult): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { filling, full } = entry;
    this.#filled.push({ ...filling, result, lookedFor: full !== undefined && full.lost === undefined });
    this.#drop(id);
    this.#listener.wake();
  }

  /** The VM has ended, or its RAM was unplugged: nobody waits any more. */
  #forget(id: number): void {
    const entry = this.#entries.get(id);
    this.#drop(id);
    if (entry === undefined) return;
    const { spare, source } = entry.filling;
    forgetDescriptor(entry.filling);
    spare.release();
    closeDescriptor(source.file);
    this.#listener.abandoned(spare.theirs);
  }

  #drop(id: number): void {
    this.#entries.get(id)?.local?.stop();
    this.#entries.delete(id);
    this.#client?.drop(id);
    if (this.#entries.size > 0) return;
    this.#client?.end();
    this.#client = undefined;
    this.#hurrying = false;
    for (const resolve of this.#settled.splice(0)) resolve();
  }

  #localTrouble(id: number, error: unknown): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    if (error instanceof FillError && error.vanished) return this.#forget(id);
    this.#tellOnce(entry.filling, "HM_FILL", error instanceof Error ? error.message : String(error));
  }

  /** Without the other threads this one does their work, so that nobody waits for ever. */
  #fillHere(error: unknown): void {
    this.#client?.end();
    this.#client = undefined;
    for (const [id, entry] of this.#entries) {
      this.#tellOnce(entry.filling, "HM_FILL_THREAD", error instanceof Error ? error.message : String(error));
      if (entry.full !== undefined) {
        this.#joinHere(id, entry, entry.full.lost);
        continue;
      }
      // What the other thread has heard of and could not serve is told again.
      wakeAll(entry.job.userfaultfd, entry.job.base, entry.job.source.size);
      entry.local ??= new LocalFill(this.#pid, entry.job, (trouble) => this.#localTrouble(id, trouble));
      entry.local.fillAll((lost) => this.#joinHere(id, entry, lost));
    }
  }

  #joinHere(id: number, entry: Entry, lost: readonly number[] | undefined): void {
    const { page, spare } = entry.filling;
    entry.full = { lost };
    const processDescriptor = this.#processDescriptor;
    const { base, size } = page;
    const job = { pid: this.#pid, processDescriptor, base, size, collapse: wantsJoins(), lost };
    joinInTurns(job, spare.userfaultfd, {
      wanted: () => this.#entries.get(id) === entry,
      joined: () => this.#listener.step?.("range-joined"),
      failed: (error) => this.#localTrouble(id, error),
      done: (result) => this.#done(id, result),
    });
  }

  #tellOnce({ page }: Filling, code: string, message: string): void {
    const key = `${page.base} ${code}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#listener.trouble(page, code, message);
  }
}

/** Its number may be QEMU's own one day. */
function forgetDescriptor({ page, spare }: Filling): void {
  try {
    spare.note({ descriptor: null, page });
  } catch {
    // The VM has ended, or the tag is gone.
  }
}

function newJob({ spare, page, source }: Filling): FillJob {
  return { userfaultfd: spare.userfaultfd, base: page.base, source, progress: newProgress(page.size) };
}
