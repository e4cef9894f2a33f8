import { HugemendError } from "../errors.js";

/** Something about the traced process did not go as it must; the process itself is left running. */
export class TraceeError extends HugemendError {
  override readonly name: string = "TraceeError";
}
