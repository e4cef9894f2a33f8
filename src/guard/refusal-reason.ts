import { HugemendError, messageOf } from "../errors.js";

/** @param reason a refusing plan, or whatever was thrown @returns what a `refused` event says */
export function reasonOf(reason: unknown): { code: string; message: string } {
  if (reason instanceof HugemendError) {
    const cause = reason.cause === undefined ? "" : ` (${messageOf(reason.cause)})`;
    return { code: reason.code, message: `${reason.message}${cause}` };
  }
  if (typeof reason === "object" && reason !== null && "code" in reason && "message" in reason) {
    return { code: String(reason.code), message: String(reason.message) };
  }
  return { code: "HM_INTERNAL", message: messageOf(reason) };
}
