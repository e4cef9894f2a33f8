/** One door for everything worth telling: first the ledger, then whoever listens. */

import { HugemendError, messageOf } from "../errors.js";
import type { PublicEvent } from "../ledger/events.js";
import type { InternalEvent } from "../ledger/internal-events.js";
import type { LedgerWriter } from "../ledger/ledger-writer.js";

/** Prints or collects public events. */
export type EventSink = (event: PublicEvent) => void;

/** Ledger and event stream of one guard. */
export class Journal {
  readonly #ledger: LedgerWriter;
  readonly #sink: EventSink;

  constructor(components: { ledger: LedgerWriter; sink: EventSink }) {
    this.#ledger = components.ledger;
    this.#sink = components.sink;
    this.#ledger.onTrouble(({ code, message }) => this.#sink({ event: "warning", code, message }));
  }

  /**
   * Writes a record that must outlive this guard before the next step is taken. It does as soon as the kernel has it, which takes
   * microseconds; the disk gets it right afterwards, and one that fails is announced.
   *
   * @throws LedgerError: the step must not be taken
   */
  require(event: InternalEvent): void {
    this.#ledger.append(event);
  }

  /** Writes a record of what has happened already; a ledger that fails is announced, and stops nothing. */
  note(event: InternalEvent): void {
    this.#tryAppend(event);
  }

  /** Writes and announces what has happened already; a ledger that fails is announced too, and stops nothing. */
  tell(event: PublicEvent): void {
    this.#tryAppend(event);
    this.#sink(event);
  }

  #tryAppend(event: InternalEvent | PublicEvent): void {
    try {
      this.#ledger.append(event);
    } catch (error) {
      this.#sink({
        event: "warning",
        code: error instanceof HugemendError ? error.code : "HM_LEDGER_IO",
        message: `The ledger does not hold "${event.event}": ${messageOf(error)}`,
      });
    }
  }

  /** Closes the ledger, with everything on the disk, so that the next guard can open it. */
  close(): void {
    this.#ledger.close();
  }
}
