import { HugemendError } from "../errors.js";

/** A guard that cannot start, or cannot go on. */
export class GuardError extends HugemendError {
  override readonly name: string = "GuardError";
}
