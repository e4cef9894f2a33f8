/** What QEMU sends once a session is open, and who waits for it. */

import { z } from "zod";
import type { QemuError } from "./qemu-error.js";
import { QmpCommandError } from "./qmp-errors.js";
import type { EventHub } from "./qmp-events.js";
import type { JsonObject } from "./qmp-transport.js";

const errorSchema = z.object({ class: z.string().max(1000), desc: z.string() });

/** A command without an answer yet. */
export interface Pending {
  readonly command: string;
  /** Null once the asker has gone. */
  answer: { resolve(value: unknown): void; reject(error: QemuError): void } | null;
}

/** Routes one message. @returns what is wrong with it, or null */
export function dispatch(message: JsonObject, pending: Map<number, Pending>, hub: EventHub): string | null {
  if ("event" in message) return hub.take(message) ? null : "a malformed event";
  const id = message["id"];
  const asked = typeof id === "number" ? pending.get(id) : undefined;
  if (asked === undefined || typeof id !== "number") {
    return `an answer nobody asked for: ${JSON.stringify(message).slice(0, 200)}`;
  }
  if ("return" in message) {
    pending.delete(id);
    asked.answer?.resolve(message["return"]);
    return null;
  }
  const error = errorSchema.safeParse(message["error"]);
  if (!error.success) return `neither a result nor an error for ${asked.command}`;
  pending.delete(id);
  asked.answer?.reject(new QmpCommandError(asked.command, error.data.class, error.data.desc.slice(0, 1000)));
  return null;
}
