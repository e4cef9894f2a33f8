/**
 * A tracing instance of our own (Documentation/trace/ftrace.rst, "Instances"): its buffer and its events are nobody else's, and
 * nobody else's tracing is changed by it.
 */

import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { readText } from "../procfs/proc-file.js";
import { type EventFormat, parseEventFormat } from "./event-format.js";

/** f_type of tracefs (TRACEFS_MAGIC, include/uapi/linux/magic.h). */
const TRACEFS_MAGIC = 0x74726163;
/** The second was the only place before Linux 4.1, and is still used where debugfs alone is mounted. */
const PLACES = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] as const;

/**
 * For each processor: the least the kernel gives. A report takes about 40 bytes, so even this holds a storm of a hundred. A new
 * instance begins with 1.4 MiB for each.
 */
const BUFFER_KIB = 8;

/** @returns where tracefs is mounted, undefined if it is not */
export function findTracefs(): string | undefined {
  return PLACES.find((place) => {
    try {
      return statfsSync(place).type === TRACEFS_MAGIC;
    } catch {
      return false;
    }
  });
}

/** An event to record. */
export interface TracedEvent {
  /** `group/name` by preference: the first that exists is taken. */
  readonly names: readonly string[];
  /** Documentation/trace/events.rst, "Event filtering". */
  readonly filter?: string;
}

/** See the head of the file. */
export class TraceInstance {
  /** trace_pipe, open for reading without blocking. */
  readonly descriptor: number;
  /** One for each event asked for; undefined where the kernel does not have it. */
  readonly formats: readonly (EventFormat | undefined)[];
  readonly #folder: string;

  private constructor(folder: string, descriptor: number, formats: readonly (EventFormat | undefined)[]) {
    this.#folder = folder;
    this.descriptor = descriptor;
    this.formats = formats;
  }

  /**
   * @param root where tracefs is mounted
   * @param name of the instance; must not exist
   * @throws Error of node:fs, LinuxError HM_TRACE_FORMAT: nothing stays behind
   */
  static create(root: string, name: string, events: readonly TracedEvent[]): TraceInstance {
    const folder = join(root, "instances", name);
    // SAFETY: an instance is a buffer and switches of its own; should we die, the next guard removes it by its name.
    mkdirSync(folder);
    let descriptor: number | undefined;
    try {
      write(folder, "buffer_size_kb", String(BUFFER_KIB));
      // Readers are woken at the first event, not when half of the buffer is full.
      tryWrite(folder, "buffer_percent", "0");
      // Without it a line begins with the name of the task, which anybody can choose.
      write(folder, "options/context-info", "0");
      descriptor = openSync(join(folder, "trace_pipe"), constants.O_RDONLY | constants.O_NONBLOCK);
      const formats = events.map((event) => switchOn(folder, event));
      return new TraceInstance(folder, descriptor, formats);
    } catch (error) {
      if (descriptor !== undefined) closeSync(descriptor);
      rmdirSync(folder);
      throw error;
    }
  }

  /** Takes it away, with what was not read. */
  remove(): void {
    closeSync(this.descriptor);
    rmdirSync(this.#folder);
  }
}

/**
 * Removes instances that nobody needs any more. One that is still open for reading stays, whatever its name says: the kernel
 * refuses (kernel/trace/trace.c, __remove_instance()).
 *
 * @param root where tracefs is mounted
 * @param isStale judges by the name
 */
export function removeInstances(root: string, isStale: (name: string) => boolean): void {
  const folder = join(root, "instances");
  for (const name of readdirSync(folder).filter(isStale)) {
    try {
      // SAFETY: the name is one of ours and its owner is dead.
      rmdirSync(join(folder, name));
    } catch {
      // Open for reading, or gone already.
    }
  }
}

function switchOn(folder: string, { names, filter }: TracedEvent): EventFormat | undefined {
  for (const name of names) {
    const event = join(folder, "events", name);
    let text: string;
    try {
      text = readText(join(event, "format"));
    } catch {
      continue;
    }
    const format = parseEventFormat(text);
    if (filter !== undefined) write(event, "filter", filter);
    write(event, "enable", "1");
    return format;
  }
  return undefined;
}

function write(folder: string, file: string, value: string): void {
  writeFileSync(join(folder, file), value, { flag: "w" });
}

function tryWrite(folder: string, file: string, value: string): void {
  try {
    write(folder, file, value);
  } catch {
    // Linux before 5.0 does not have it, and wakes readers at once.
  }
}
