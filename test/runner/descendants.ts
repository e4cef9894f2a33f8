/** Processes that a test leaves behind when it is ended from outside: victims, guards, QEMU. */

import { readdirSync, readFileSync } from "node:fs";

/** One process, told from a later one with the same number by its start time in clock ticks (proc(5), stat field 22). */
interface Descendant {
  readonly pid: number;
  readonly start: string;
}

interface Row extends Descendant {
  readonly parent: number;
}

/** @returns undefined when the process has ended, or is a zombie */
function readRow(pid: number): Row | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return undefined;
    return { pid, parent: Number(fields[1]), start: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

/** @returns every living process below `ancestor`, parents before children */
export function descendantsOf(ancestor: number): Descendant[] {
  const rows = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readRow(Number(name)))
    .filter((row) => row !== undefined);
  const found: Row[] = [];
  const below = (pid: number): void => {
    for (const row of rows.filter(({ parent }) => parent === pid)) {
      found.push(row);
      below(row.pid);
    }
  };
  below(ancestor);
  return found;
}

/** Sends a signal to those that still are what they were. @returns how many these are */
export function signalAll(processes: readonly Descendant[], signal: NodeJS.Signals): number {
  const living = processes.filter(({ pid, start }) => readRow(pid)?.start === start);
  for (const { pid } of living) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended just now.
    }
  }
  return living.length;
}
