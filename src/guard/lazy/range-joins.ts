/** The last part of a lazy recovery: of a replacement that is full, ranges of 2 MiB without a lost page become large pages, one at a time. */

import { type Hva, hva } from "../../linux/address.js";
import { collapseRange, HUGE_RANGE, hugePageChoice } from "../../linux/collapse.js";
import { errno } from "../../linux/errno.js";
import { readMaps } from "../../linux/procfs/maps.js";
import { lostNow } from "../../recovery/lost-now.js";
import { FillError } from "../../recovery/page-fill.js";
import type { FillResult } from "./fill-messages.js";

/** What is to be joined. Nothing of it is watched any more, and whoever has joined some of it already does no harm. */
export interface JoinJob {
  readonly pid: number;
  /** pidfd of the VM. */
  readonly processDescriptor: number;
  /** Where the replacement is, in the VM. */
  readonly base: Hva;
  /** Its bytes. */
  readonly size: number;
  /** Whether the host wants large pages: {@link wantsJoins}. */
  readonly collapse: boolean;
  /** Offsets of its lost 4 KiB; undefined if a guard has filled it that is dead: then they are looked for. */
  readonly lost: readonly number[] | undefined;
}

/** @returns whether ranges are joined: the operator's word on large pages of the kernel's own counts here as well */
export function wantsJoins(): boolean {
  const choice = hugePageChoice();
  return choice !== undefined && choice !== "never";
}

/** See the head of the file. */
export class RangeJoins {
  readonly #job: JoinJob;
  readonly #onJoin: () => void;
  readonly #lost: number[];
  #next = 0;
  #ranges = 0;
  #collapsed = 0;
  /** Ranges that could not be joined: their pages may have been in use, or no large page free. */
  readonly #onceMore: number[] = [];

  /** @param onJoin called after each try */
  constructor(job: JoinJob, onJoin: () => void = () => {}) {
    this.#job = job;
    this.#onJoin = onJoin;
    this.#lost = [...(job.lost ?? [])];
  }

  /** Looks at one range. @returns the result when all is done @throws FillError if it is no longer mapped, or the VM has ended */
  step(): FillResult | undefined {
    const at = this.#next;
    if (at < this.#job.size) {
      this.#next = at + HUGE_RANGE;
      if (this.#hasLost(at) || !this.#job.collapse) return undefined;
      this.#ranges += 1;
      if (!this.#join(at)) this.#onceMore.push(at);
      return undefined;
    }
    const again = this.#onceMore.pop();
    if (again === undefined) return { lost: this.#lost, ranges: this.#ranges, collapsed: this.#collapsed };
    this.#join(again);
    return undefined;
  }

  #hasLost(at: number): boolean {
    const { pid, base, lost } = this.#job;
    if (lost !== undefined) return lost.some((offset) => offset >= at && offset < at + HUGE_RANGE);
    const start = hva(base + BigInt(at));
    const found = lostNow(pid, start, HUGE_RANGE);
    if (found.length > 0 && !isMapped(pid, start, HUGE_RANGE)) throw new FillError("COPY", errno.ENOENT);
    for (const offset of found) this.#lost.push(at + offset);
    return found.length > 0;
  }

  /** One that is a large page already is so at once, and counts. */
  #join(at: number): boolean {
    const { base, processDescriptor } = this.#job;
    const joined = collapseRange(processDescriptor, hva(base + BigInt(at))) === 0;
    if (joined) this.#collapsed += 1;
    this.#onJoin();
    return joined;
  }
}

/** What cannot be read is lost only where something is mapped. */
function isMapped(pid: number, start: Hva, size: number): boolean {
  const end = start + BigInt(size);
  let at: bigint = start;
  try {
    for (const mapping of readMaps(pid)) {
      if (mapping.end <= at) continue;
      if (mapping.start > at) return false;
      at = mapping.end;
      if (at >= end) return true;
    }
  } catch {
    // The VM has ended.
  }
  return false;
}
