/** Text from a descriptor of the kernel that never blocks: trace_pipe, /dev/kmsg. */

import { readSync } from "node:fs";
import { watchReadable } from "./native.js";
import { errnoOf } from "./procfs/proc-file.js";

const buffer = Buffer.alloc(16 * 1024);
/** At one wake-up; the rest comes with the next, so that a signal for QEMU never waits for a flood of text. */
const MOST_READS = 64;

/** Who wants the text. */
export interface TextListener {
  /** What one read gave: whole lines of trace_pipe, one record of /dev/kmsg. */
  text(text: string): void;
  /** The kernel has overwritten something before we read it. */
  gap(): void;
  /** It cannot be read any more, and is not watched any more. */
  failed(error: unknown): void;
}

/** See {@link watchText}. */
export interface TextWatch {
  /** Hands over what has come, now. */
  drain(): void;
  /** Ends it; what has come until then is handed over first. */
  stop(): void;
}

/**
 * Hands over what comes, from the event loop.
 *
 * @param fd a descriptor that the kernel can poll, opened with O_NONBLOCK; stays the caller's
 */
export function watchText(fd: number, listener: TextListener): TextWatch {
  let watching = true;
  const stopPolling = watchReadable(fd, () => drain(MOST_READS));
  const stop = (): void => {
    if (!watching) return;
    watching = false;
    stopPolling();
  };
  const drain = (most: number): void => {
    for (let reads = 0; watching && reads < most; reads += 1) {
      try {
        const length = readSync(fd, buffer);
        if (length === 0) return;
        listener.text(buffer.toString("latin1", 0, length));
      } catch (error) {
        if (errnoOf(error) === "EAGAIN") return;
        // Documentation/ABI/testing/dev-kmsg: the record was overwritten; the next read gives the oldest that is left.
        if (errnoOf(error) === "EPIPE") listener.gap();
        else {
          stop();
          return listener.failed(error);
        }
      }
    }
  };
  return {
    drain: () => drain(MOST_READS),
    stop: () => {
      drain(MOST_READS);
      stop();
    },
  };
}
