import { LedgerError } from "./ledger-error.js";
import type { LedgerContent } from "./ledger-reader.js";
import { LineFile } from "./line-file.js";
import { encodeRecord, faultOf, type LedgerEvent, type LedgerRecord } from "./record.js";

/** An open ledger; made by `openLedger`. What a record survives, and when: line-file.ts. */
export class LedgerWriter implements Disposable {
  readonly path: string;
  /** What stood in the ledger when it was opened. */
  readonly history: readonly LedgerRecord[];
  /** The unfinished line that was cut off on opening, if any. */
  readonly tornTail: LedgerContent["tornTail"];
  readonly #file: LineFile;
  readonly #unlock: () => void;
  #seq: number;
  /** The last records, as long as nobody has looked whether they can be read back. */
  #unchecked: { readonly line: Buffer; readonly event: LedgerEvent }[] = [];
  #tellTrouble: (error: LedgerError) => void = () => {};
  #closed = false;

  /**
   * @param fd taken over
   * @param unlock called once by {@link close}
   * @throws Error of node:fs: `fd` stays the caller's
   */
  constructor(path: string, fd: number, content: LedgerContent, unlock: () => void) {
    this.path = path;
    this.history = content.records;
    this.tornTail = content.tornTail;
    this.#seq = content.records.length;
    this.#unlock = unlock;
    this.#file = new LineFile(path, fd, content.goodBytes, {
      beforeSync: () => this.#check(),
      trouble: (error) => this.#tellTrouble(error),
    });
  }

  /**
   * @param tell called when what was appended may not be on the disk, HM_LEDGER_NOT_ON_DISK, once until it is; and when a record was
   *   taken back because it could not have been read, HM_LEDGER_RECORD
   */
  onTrouble(tell: (error: LedgerError) => void): void {
    this.#tellTrouble = tell;
  }

  /**
   * Appends one record. When this returns it survives the death of this process; the disk has it soon after, see {@link sync}.
   *
   * @returns its sequence number
   * @throws LedgerError HM_LEDGER_FULL, HM_LEDGER_READ_ONLY, HM_LEDGER_IO, HM_LEDGER_NOT_ON_DISK: nothing was written, a later append
   *   may succeed; HM_LEDGER_FAILED: nothing more can be written; HM_LEDGER_RECORD (too long); HM_LEDGER_CLOSED
   */
  append(event: LedgerEvent): number {
    const line = this.#file.append(() => encodeRecord(this.#seq + 1, new Date(), event));
    this.#seq += 1;
    this.#unchecked.push({ line, event });
    return this.#seq;
  }

  /**
   * Everything appended is on the disk when this returns.
   *
   * @throws LedgerError HM_LEDGER_NOT_ON_DISK, HM_LEDGER_FAILED, HM_LEDGER_CLOSED
   */
  sync(): void {
    this.#file.sync();
  }

  /**
   * Puts everything on the disk, closes the file and gives the ledger free for another guard. A disk that fails is told as trouble, and
   * keeps nothing from being closed. May be called twice.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#file.close();
    } finally {
      this.#unlock();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Records are looked at when they are written already, so that no thread stands meanwhile. One that the next guard would stumble
   * over is taken back: what follows it is written anew in its place.
   */
  #check(): void {
    const records = this.#unchecked;
    this.#unchecked = [];
    const before = this.#seq - records.length;
    for (const [index, { line }] of records.entries()) {
      const fault = faultOf(line, before + index + 1);
      if (fault === null) continue;
      this.#file.takeBack(records.length - index);
      this.#seq = before + index;
      this.#tellTrouble(
        new LedgerError("HM_LEDGER_RECORD", `A record was taken back from the ledger ${this.path}: ${fault}`),
      );
      for (const { event } of records.slice(index + 1)) this.#appendAgain(event);
      return;
    }
  }

  #appendAgain(event: LedgerEvent): void {
    try {
      this.append(event);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      this.#tellTrouble(error);
    }
  }
}
