import { HugemendError } from "../errors.js";

/** QEMU's monitor cannot be used, or said something that it should not. */
export class QemuError extends HugemendError {
  override readonly name: string = "QemuError";
}
