import { QemuError } from "./qemu-error.js";

/** A command that QEMU refused; its class is for example `CommandNotFound` (QEMU: qapi/error.json). */
export class QmpCommandError extends QemuError {
  override readonly name: string = "QmpCommandError";
  readonly class: string;

  constructor(command: string, errorClass: string, description: string) {
    super("HM_QMP_COMMAND", `QEMU refused ${command}: ${description}`, { present: errorClass });
    this.class = errorClass;
  }
}

/** Both sides are out of step. @param present what came */
export function outOfStep(path: string, present: string): QemuError {
  return new QemuError("HM_QMP_PROTOCOL", `${path} does not follow the QMP protocol`, {
    present,
    remedy: "Check that --qmp names a QMP socket (-qmp), not an HMP one (-monitor) or the guest agent's",
  });
}

/** No answer in time. */
export function timedOut(command: string, path: string, timeoutMs: number): QemuError {
  return new QemuError("HM_QMP_TIMEOUT", `QEMU at ${path} has not answered ${command}`, {
    present: `no answer for ${Math.round(timeoutMs)} ms`,
    remedy: "QEMU's main loop is busy or stopped; the command may still take effect later",
  });
}

/** Nothing is answered at all. */
export function tooMany(path: string, pending: number, limit: number): QemuError {
  return new QemuError("HM_QMP_STALLED", `QEMU at ${path} answers none of many commands`, {
    present: `${pending} without an answer`,
    expected: `fewer than ${limit}`,
  });
}
