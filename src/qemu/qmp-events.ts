import { z } from "zod";
import type { QemuError } from "./qemu-error.js";
import type { JsonObject } from "./qmp-transport.js";

/** One QMP event. */
export interface QmpEvent {
  readonly name: string;
  readonly data: JsonObject;
  /** QEMU's wall clock, in milliseconds since 1970 with fractions; null where QEMU could not tell (-1). */
  readonly time: number | null;
}

/** Called for each event, in order, from the event loop. What it throws is thrown from there, uncaught. */
export type EventListener = (event: QmpEvent) => void;

const eventSchema = z.object({
  event: z.string().min(1).max(200),
  data: z.record(z.string(), z.unknown()).optional(),
  timestamp: z.object({ seconds: z.int(), microseconds: z.int() }),
});

/** Hands events to listeners; outlives single connections. */
export class EventHub {
  readonly #listeners = new Map<string, Set<EventListener>>();
  readonly #closers = new Set<(reason: QemuError) => void>();

  /** @param name event name or `*` @returns stops listening */
  on(name: string, listener: EventListener): () => void {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  /** @param listener called when a connection ends @returns stops listening */
  onClosed(listener: (reason: QemuError) => void): () => void {
    this.#closers.add(listener);
    return () => this.#closers.delete(listener);
  }

  /** @returns false when the message is no event */
  take(message: JsonObject): boolean {
    const parsed = eventSchema.safeParse(message);
    if (!parsed.success) return false;
    const { event: name, data = {}, timestamp } = parsed.data;
    const time = timestamp.seconds < 0 ? null : timestamp.seconds * 1000 + timestamp.microseconds / 1000;
    for (const key of [name, "*"]) {
      for (const listener of [...(this.#listeners.get(key) ?? [])])
        guarded(() => listener({ name, data, time }));
    }
    return true;
  }

  /** A connection has ended. */
  closed(reason: QemuError): void {
    for (const listener of [...this.#closers]) guarded(() => listener(reason));
  }
}

/** One listener's bug must neither be hidden nor keep the others, or the connection, from their work. */
function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
