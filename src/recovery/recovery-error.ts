import { HugemendError } from "../errors.js";

/** A recovery that did not happen; the mapping is as it was. */
export class RecoveryError extends HugemendError {
  override readonly name: string = "RecoveryError";
}
