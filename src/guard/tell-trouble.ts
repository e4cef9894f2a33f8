import type { GuardContext } from "./guard-context.js";
import { reasonOf } from "./refusal-reason.js";

/** Records and announces that something went wrong after a step that counts was done: no refusal, for it did happen. */
export function tellTrouble(guard: GuardContext, what: string, error: unknown): void {
  const { code, message } = reasonOf(error);
  guard.journal.tell({ event: "warning", code, message: `${what}: ${message}` });
}
