/**
 * How errors are learned of that nobody has touched: the kernel's own report of each.
 *
 * First choice is the tracepoint memory_failure_event, in a tracing instance of our own; without tracefs, or on a kernel whose
 * event reads otherwise, the kernel log. Both only say a page frame number. A report that was missed is no loss: the first
 * touch of the page raises SIGBUS, as if there were no reports.
 */

import { closeSync } from "node:fs";
import { type Pfn, pfn } from "../../linux/address.js";
import { openKernelLog, parseKernelLogRecord } from "../../linux/kernel-log.js";
import { watchText } from "../../linux/readable.js";
import { type EventFormat, isLostEvents, readEventLine } from "../../linux/tracefs/event-format.js";
import { findTracefs, removeInstances, TraceInstance } from "../../linux/tracefs/trace-instance.js";

/** Where reports come from. */
export type ReportSource = "tracepoint" | "kernel-log" | "none";

/** Who wants to know. */
export interface ReportListener {
  /** The kernel has taken a page frame out of use, of whatever process. */
  reported(frame: Pfn): void;
  /** Some reports were lost on the way. */
  missed(): void;
  /** There will be no more reports. */
  ended(error: unknown): void;
}

/** Reports under way. */
export interface ErrorReports {
  readonly source: ReportSource;
  /** Tells what has come, now. */
  drain(): void;
  close(): void;
}

/** In 6.x kernels the event belongs to `ras`; some later ones have it in a group of its own. */
const MEMORY_FAILURE = ["ras/memory_failure_event", "memory_failure/memory_failure_event"] as const;
const INSTANCE = /^hugemend-([1-9]\d{0,6})$/;

/** Begins to listen; never throws. */
export function openErrorReports(listener: ReportListener): ErrorReports {
  for (const open of [openTracepoint, openLog]) {
    try {
      const reports = open(listener);
      if (reports !== undefined) return reports;
    } catch {
      // Not on this host: the next source is asked.
    }
  }
  return { source: "none", drain: () => {}, close: () => {} };
}

function openTracepoint(listener: ReportListener): ErrorReports | undefined {
  const root = findTracefs();
  if (root === undefined) return undefined;
  removeInstances(root, isDeadGuards);
  const instance = TraceInstance.create(root, `hugemend-${process.pid}`, [{ names: MEMORY_FAILURE }]);
  const [format] = instance.formats;
  if (format?.printed.includes("pfn") !== true) {
    instance.remove();
    return undefined;
  }
  const watch = watchText(instance.descriptor, {
    text: (text) => tellTraceLines(text, format, listener),
    gap: () => listener.missed(),
    failed: (error) => listener.ended(error),
  });
  return {
    source: "tracepoint",
    drain: () => watch.drain(),
    close: () => {
      watch.stop();
      try {
        instance.remove();
      } catch {
        // Unmounted meanwhile, or somebody is looking at it: the next guard on this host removes it.
      }
    },
  };
}

function tellTraceLines(text: string, format: EventFormat, listener: ReportListener): void {
  for (const line of text.split("\n")) {
    const frame = readEventLine(format, line)?.get("pfn");
    if (frame !== undefined) tellFrame(frame, listener);
    else if (isLostEvents(line)) listener.missed();
  }
}

function openLog(listener: ReportListener): ErrorReports {
  const fd = openKernelLog();
  const watch = watchText(fd, {
    text: (text) => {
      const frame = frameInLog(text);
      if (frame !== undefined) tellFrame(frame, listener);
    },
    gap: () => listener.missed(),
    failed: (error) => listener.ended(error),
  });
  return {
    source: "kernel-log",
    drain: () => watch.drain(),
    close: () => {
      watch.stop();
      closeSync(fd);
    },
  };
}

/**
 * @param record of /dev/kmsg
 * @returns the frame of `Memory failure: 0x15e21: recovery action for huge page: Recovered` or `…: already hardware poisoned`
 *   (mm/memory-failure.c), hexadecimal; undefined for any other record, and for what a program has written there
 */
export function frameInLog(record: string): string | undefined {
  const parsed = parseKernelLogRecord(record);
  if (parsed?.facility !== 0) return undefined;
  return /^Memory failure: (0x[0-9a-f]{1,13}): (?:recovery action|already hardware poisoned)/.exec(
    parsed.text,
  )?.[1];
}

function tellFrame(text: string, listener: ReportListener): void {
  const digits = text.startsWith("0x") ? text : `0x${text}`;
  if (/^0x[0-9a-f]{1,13}$/.test(digits)) listener.reported(pfn(BigInt(digits)));
}

/** An instance named after a process that no longer is. */
function isDeadGuards(name: string): boolean {
  const pid = INSTANCE.exec(name)?.[1];
  if (pid === undefined) return false;
  // Process ids come again: whoever had ours is gone.
  if (Number(pid) === process.pid) return true;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch {
    return true;
  }
}
