/** The beginning of a session: QEMU speaks first. */

import { z } from "zod";
import { dispatch, type Pending } from "./qmp-answers.js";
import { stalledError } from "./qmp-connect-error.js";
import { outOfStep } from "./qmp-errors.js";
import type { EventHub } from "./qmp-events.js";
import { aborted, type QmpTransport } from "./qmp-transport.js";

/** QEMU's version from its greeting. */
export interface QmpVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
  /** The distribution's own version, often empty. */
  readonly package: string;
}

const count = z.int().nonnegative();
/** Shape of `{"qemu":{…},"package":…}`, in the greeting and in query-version. */
export const versionSchema: z.ZodType<QmpVersion> = z
  .object({ qemu: z.object({ major: count, minor: count, micro: count }), package: z.string().max(1000) })
  .transform((v) => ({ ...v.qemu, package: v.package }));
const greetingSchema = z.object({
  QMP: z.object({ version: versionSchema, capabilities: z.array(z.unknown()) }),
});

/**
 * Begins to read, and waits for the greeting. Whatever comes after it goes to `pending` and `hub`, up to the end of the connection.
 *
 * @returns QEMU's version
 * @throws QemuError HM_QMP_STALLED, HM_QMP_PROTOCOL, HM_QMP_ABORTED, and why the transport ended
 */
export function greet(
  transport: QmpTransport,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  pending: Map<number, Pending>,
  hub: EventHub,
): Promise<QmpVersion> {
  return new Promise((resolve, reject) => {
    let greeted = false;
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const timer = setTimeout(
      () => setImmediate(() => !greeted && transport.close(stalledError(transport.path, timeoutMs))),
      timeoutMs,
    );
    const onAbort = (): void => transport.close(aborted(transport.path, signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    transport.start({
      onMessage(message) {
        if (greeted) {
          const problem = dispatch(message, pending, hub);
          if (problem !== null) transport.close(outOfStep(transport.path, problem));
          return;
        }
        const greeting = greetingSchema.safeParse(message);
        if (!greeting.success) {
          transport.close(outOfStep(transport.path, "no QMP greeting"));
          return;
        }
        greeted = true;
        stop();
        resolve(greeting.data.QMP.version);
      },
      onClose(reason) {
        stop();
        reject(reason);
        for (const { answer } of [...pending.values()]) answer?.reject(reason);
        pending.clear();
        hub.closed(reason);
      },
    });
  });
}
