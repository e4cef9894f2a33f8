import { HugemendError } from "../errors.js";

/** Something about the traced process did not go as it must; the process itself is left running. */
export class TraceeError extends HugemendError {
  override readonly name: string = "TraceeError";
}

/** Whether an error says that a thread does not stop, or does not come back. */
export function isStuck(error: unknown): boolean {
  return error instanceof TraceeError && error.code === "HM_TRACEE_STUCK";
}
