import { HugemendError } from "../errors.js";

/** A ledger that cannot be opened, read or appended to. */
export class LedgerError extends HugemendError {
  override readonly name: string = "LedgerError";
}
