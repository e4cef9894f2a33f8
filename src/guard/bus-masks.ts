/**
 * Which threads block SIGBUS. The kernel does not leave it to be asked: a SIGBUS forced on a thread that blocks it resets the
 * handler to SIG_DFL for the whole process and unblocks the signal in that thread (kernel/signal.c force_sig_info_to_task), so
 * at its stop the thread's mask says nothing any more.
 *
 * Such a thread is recognised by the handler that went with its signal, even if the handler was put back for another thread's sake
 * before its stop was seen. A virtual CPU must never be taken for one: the error of a lost page would then end QEMU. So a thread
 * that was seen with SIGBUS open never is one; that it was seen blocked says little, for the kernel also blocks SIGBUS while its
 * handler runs.
 *
 * Several threads may stand at errors at once. The first one's signal takes the handler away; that of the second, which blocks SIGBUS too,
 * takes only its mask. So for a while after the handler was put back each thread that is known to block SIGBUS, and stops for it, has lost its mask.
 */

/** What a thread did with SIGBUS when the guard looked. */
export type BusMask = "blocked" | "open";

/** A stop is seen within milliseconds; what is older belongs to a thread that has ended, or has its mask. */
const DEBT_MS = 2000;

/** See the head of the file. */
export class BusMasks {
  readonly #known: Map<number, BusMask>;
  /** When the handler was put back although the thread that had lost it was not seen yet. */
  #debts: number[] = [];
  /** When the handler was put back last. */
  #restored = Number.NEGATIVE_INFINITY;

  /** @param known threads that are older than the guard, by thread id */
  constructor(known: ReadonlyMap<number, BusMask>) {
    this.#known = new Map(known);
  }

  /**
   * Looks again at threads that were seen blocked: one that was in its handler is not any more.
   *
   * @param look tells nothing where a forced SIGBUS may have changed the mask
   * @param now milliseconds on any steady clock
   * @returns false if it has to be done once more
   */
  lookAgain(look: (tid: number) => BusMask | undefined, now: number): boolean {
    // A thread that has lost its mask stands somewhere, and would be seen open.
    if (this.#owed(now) || this.#justRestored(now)) return false;
    let sure = true;
    for (const [tid, known] of this.#known) {
      if (known === "open") continue;
      const seen = look(tid);
      if (seen === undefined) sure = false;
      else this.#known.set(tid, seen);
    }
    return sure;
  }

  /** Whether a thread that stopped for SIGBUS may have to block it again, although the handler is in place. */
  owes(tid: number, now: number): boolean {
    const known = this.#known.get(tid);
    return (this.#owed(now) && known !== "open") || (this.#justRestored(now) && known === "blocked");
  }

  #justRestored(now: number): boolean {
    return now - this.#restored < DEBT_MS;
  }

  #owed(now: number): boolean {
    this.#debts = this.#debts.filter((since) => now - since < DEBT_MS);
    return this.#debts.length > 0;
  }

  /**
   * Says whether a thread must block SIGBUS again, and keeps the books.
   *
   * @param tid the borrowed thread
   * @param stopped whether it stopped for SIGBUS itself
   * @param handlerGone whether the handler was found reset
   * @param now milliseconds on any steady clock
   */
  settle(tid: number, stopped: boolean, handlerGone: boolean, now: number): boolean {
    const maybe = stopped && this.#known.get(tid) !== "open";
    const culprit = maybe && (handlerGone || this.owes(tid, now));
    if (culprit && !handlerGone) this.#debts.shift();
    if (!culprit && handlerGone) this.#debts.push(now);
    if (handlerGone) this.#restored = now;
    return culprit;
  }
}
