/** How QEMU learns of a lost page, and what that means for its next reset. */

import type { WarningEvent } from "../ledger/events.js";
import { exitsAtReset, type LossRoute, lossRoute, type QemuRelease } from "../qemu/qemu-release.js";
import type { Journal } from "./journal.js";

const CODE = "HM_QEMU_EXITS_AT_RESET";
const ADVICE = "Shut the guest down and start it anew instead of rebooting it, or run QEMU 10.0 or later";

/** What a guard knows of its QEMU. */
export interface LossTellingInit {
  readonly journal: Pick<Journal, "tell">;
  /** Undefined if nobody knows. */
  readonly release: QemuRelease | undefined;
  readonly hasMonitor: boolean;
  /** Overrules the release, to try it. */
  readonly route?: LossRoute | undefined;
}

/** See the head of the file. */
export class LossTelling {
  readonly #journal: Pick<Journal, "tell">;
  readonly #exits: boolean;
  readonly #name: string;
  readonly #hasMonitor: boolean;
  #route: LossRoute;
  #told = false;
  readonly #strangers = new Set<number>();

  constructor({ journal, release, hasMonitor, route }: LossTellingInit) {
    this.#journal = journal;
    this.#exits = release !== undefined && exitsAtReset(release);
    this.#name = release === undefined ? "QEMU" : `QEMU ${release.major}.${release.minor}`;
    this.#hasMonitor = hasMonitor;
    const best = hasMonitor && release !== undefined ? lossRoute(release) : "signal";
    this.#route = route ?? best;
  }

  /** How the next lost page is told. Once QEMU has one on its list, more of them make nothing worse. */
  get route(): LossRoute {
    return this.#route;
  }

  /** What the user must know at the start. */
  get warning(): WarningEvent | undefined {
    if (!this.#exits || this.#route === "monitor") return undefined;
    const why = this.#hasMonitor
      ? "it refuses to migrate by the same list, so Hugemend does not hide lost pages from it"
      : "only with --qmp can Hugemend tell the guest without it";
    return this.#warn(`${this.#name} ends at a guest reset once it knows of a lost page: ${why}. ${ADVICE}`);
  }

  /** The VM has lost pages from before this guard, and nobody knows what QEMU learned while none was there. */
  afterGap(): void {
    if (!this.#exits || this.#route === "signal") return;
    this.#journal.tell(
      this.#warn(
        `${this.#name} may end at the next guest reset: pages were lost before this guard came, and if one was touched while ` +
          `nobody guarded it, QEMU keeps that in mind. ${ADVICE}`,
      ),
    );
  }

  /** Whether a thread of which QEMU had not told comes for the second time. */
  comesAgain(tid: number): boolean {
    if (this.#strangers.delete(tid)) return true;
    this.#strangers.add(tid);
    return false;
  }

  /** QEMU has told of this thread after all. */
  recognised(tid: number): void {
    this.#strangers.delete(tid);
  }

  /**
   * QEMU has got a signal for a memory error, and keeps it in mind.
   *
   * @param why it was not told by the monitor
   */
  bySignal(why: string): void {
    this.#route = "signal";
    if (!this.#exits || this.#told) return;
    this.#told = true;
    this.#journal.tell(
      this.#warn(
        `${this.#name} knows of a memory error now, and ends at the next guest reset: ${why}. ${ADVICE}`,
      ),
    );
  }

  #warn(message: string): WarningEvent {
    return { event: "warning", code: CODE, message };
  }
}
