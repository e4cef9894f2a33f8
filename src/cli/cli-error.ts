import { HugemendError } from "../errors.js";

/** Bad input on the command line. */
export class CliError extends HugemendError {
  override readonly name: string = "CliError";
}
