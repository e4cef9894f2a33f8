/**
 * Folds a ledger into the present state of the process it is about. Pure.
 *
 * The state is what the ledger *says*. Between `intent` or `healing` and the outcome a guard may have died on either side of
 * the swap: only the process's own mappings tell which, so open ones are returned for the guard to look at.
 */

import type { FilledEvent, RecoveredEvent } from "./events.js";
import type { AttachedEvent, HealingEvent, IntentEvent, PausingEvent } from "./internal-events.js";
import type { LedgerRecord } from "./record.js";

/** A large page that small ones stand for. */
export interface ReplacedPage {
  readonly hva: string;
  readonly gpa: string | null;
  /** Offset of the large page in its backing file, in bytes. */
  readonly offset: number;
  readonly pageSize: number;
  /** Byte offsets of the lost 4 KiB pages within the large page, ascending. */
  readonly lost: readonly number[];
  /** Which file held it; null when its intent is missing. */
  readonly file: IntentEvent["file"] | null;
  /** False while a lazy recovery still has bytes to copy. */
  readonly filled: boolean;
  /** Whether its poisoned page has left the file by our hand: then there is a hole, though the guest was not reset. */
  readonly givenBack: boolean;
}

/** A large page that was put back. */
export interface HealedPage {
  readonly hva: string;
  readonly gpa: string | null;
  readonly pageSize: number;
}

/** What a ledger says about its process. */
export interface LedgerState {
  /** The last guard that attached; null in a new ledger. */
  readonly attached: AttachedEvent | null;
  /** That guard detached in good order. */
  readonly detached: boolean;
  readonly replaced: readonly ReplacedPage[];
  /** Intents without outcome: look at the mappings. */
  readonly openIntents: readonly IntentEvent[];
  readonly healed: readonly HealedPage[];
  /** Large pages that were being put back when a guard died: look at the mappings. */
  readonly openHeals: readonly HealingEvent[];
  /** A pause of ours without an end: when QEMU is paused, it is ours to resume. */
  readonly openPause: PausingEvent | null;
}

/**
 * @param records a whole ledger, in order
 * @param bootId the present boot (/proc/sys/kernel/random/boot_id): give it when the process may be alive, so that a ledger
 *   left from before a reboot, under the same pid and start time, counts as empty
 * @returns the present state
 */
export function replayLedger(records: readonly LedgerRecord[], bootId?: string): LedgerState {
  let fold = new Fold();
  for (const { event } of records) {
    // A file name may come again after a reboot of the host: what an earlier boot did says nothing.
    if (event?.event === "attached" && fold.attached !== null && event.bootId !== fold.attached.bootId)
      fold = new Fold();
    if (event !== null) fold.apply(event);
  }
  const stale = bootId !== undefined && fold.attached !== null && fold.attached.bootId !== bootId;
  return stale ? new Fold().state() : fold.state();
}

class Fold {
  attached: AttachedEvent | null = null;
  #detached = false;
  #pause: PausingEvent | null = null;
  readonly #replaced = new Map<string, ReplacedPage>();
  readonly #open = new Map<string, IntentEvent>();
  readonly #healed = new Map<string, HealedPage>();
  readonly #healing = new Map<string, HealingEvent>();

  apply(event: NonNullable<LedgerRecord["event"]>): void {
    switch (event.event) {
      case "attached":
        this.attached = event;
        this.#detached = false;
        break;
      case "detached":
        this.#detached = true;
        break;
      case "pausing":
        this.#pause = event;
        break;
      case "resumed":
        this.#pause = null;
        break;
      case "intent":
        this.#open.set(event.hva, event);
        break;
      case "refused":
        this.#open.delete(event.hva);
        break;
      case "recovered": {
        const intent = this.#open.get(event.hva);
        this.#open.delete(event.hva);
        this.#healed.delete(event.hva);
        this.#healing.delete(event.hva);
        this.#replaced.set(event.hva, {
          hva: event.hva,
          gpa: event.gpa,
          offset: event.offset,
          pageSize: event.pageSize,
          lost: intent?.lost ?? lostFromRanges(event),
          file: intent?.file ?? null,
          filled: event.fill === "eager",
          givenBack: false,
        });
        break;
      }
      case "healing": {
        const { hva, gpa, offset, pageSize } = event;
        this.#healing.set(hva, event);
        // The small pages were seen in place, whatever became of the guard that had put them there.
        const intent = this.#open.get(hva);
        this.#open.delete(hva);
        if (this.#replaced.has(hva)) break;
        const lost = intent?.lost ?? event.lost;
        const file = intent?.file ?? null;
        this.#replaced.set(hva, { hva, gpa, offset, pageSize, lost, file, filled: true, givenBack: false });
        break;
      }
      case "unhealed": {
        this.#healing.delete(event.hva);
        const page = this.#replaced.get(event.hva);
        if (page !== undefined) this.#replaced.set(event.hva, { ...page, lost: event.lost });
        break;
      }
      case "filled": {
        const page = this.#replaced.get(event.hva);
        // A lazy recovery finds lost pages while it copies: its last word counts.
        if (page !== undefined) {
          const lost = event.gpa === null ? page.lost : lostFromRanges(event);
          this.#replaced.set(event.hva, { ...page, lost, filled: true });
        }
        break;
      }
      case "returning": {
        const page = this.#replaced.get(event.hva) ?? this.#intended(event.hva);
        if (page !== undefined) this.#replaced.set(event.hva, { ...page, givenBack: true });
        break;
      }
      case "healed": {
        if (event.hva !== undefined) this.#healing.delete(event.hva);
        const page = this.#find(event.hva, event.gpa);
        if (page === null) break;
        this.#replaced.delete(page.hva);
        this.#healed.set(page.hva, { hva: page.hva, gpa: event.gpa ?? page.gpa, pageSize: page.pageSize });
        break;
      }
      default:
        break;
    }
  }

  state(): LedgerState {
    return {
      attached: this.attached,
      detached: this.#detached,
      replaced: [...this.#replaced.values()],
      openIntents: [...this.#open.values()],
      healed: [...this.#healed.values()],
      openHeals: [...this.#healing.values()],
      openPause: this.#pause,
    };
  }

  /** A replacement that was seen in place although the guard died before it could tell of it. */
  #intended(hva: string): ReplacedPage | undefined {
    const intent = this.#open.get(hva);
    if (intent === undefined) return undefined;
    this.#open.delete(hva);
    const { gpa, offset, pageSize, lost, file } = intent;
    return { hva, gpa, offset, pageSize, lost, file, filled: true, givenBack: false };
  }

  #find(hva: string | undefined, gpa: string | null): ReplacedPage | null {
    if (hva !== undefined) return this.#replaced.get(hva) ?? null;
    if (gpa === null) return null;
    return [...this.#replaced.values()].find((page) => page.gpa === gpa) ?? null;
  }
}

/** Offsets of 4 KiB pages within the large page, from guest addresses; empty where those are not known. */
function lostFromRanges(event: RecoveredEvent | FilledEvent): readonly number[] {
  const lost = new Set<number>();
  for (const range of event.lost) {
    if (event.gpa === null || range.gpa === null) continue;
    const first = Number(BigInt(range.gpa) - BigInt(event.gpa));
    const end = Math.min(first + range.bytes, event.pageSize);
    for (let at = Math.max(first, 0); at < end; at += 4096) lost.add(at);
  }
  return [...lost].sort((a, b) => a - b);
}
