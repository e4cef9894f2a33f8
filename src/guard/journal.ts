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
  }

  /**
   * Writes a record that must be durable before the next step.
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

  /** Closes the ledger, so that the next guard can open it. */
  close(): void {
    this.#ledger.close();
  }
}
