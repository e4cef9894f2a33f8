import { HugemendError } from "../errors.js";

/** A failed system call, or kernel data that did not read as documented. */
export class LinuxError extends HugemendError {
  override readonly name: string = "LinuxError";
}
