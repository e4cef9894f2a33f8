/** Whether a thread is in its own code, and on no way between a remote call and it (adrift.ts). */

import { isOnItsWay } from "./adrift.js";
import { borrowable } from "./borrowable.js";
import type { Gadgets } from "./gadgets.js";
import type { HeldThread } from "./held-thread.js";
import type { ThreadState } from "./hold-first.js";
import { pause } from "./stop-wait.js";

/** How long a thread may take to come home. */
const HOME_LIMIT_MS = 2000;

/** What of a tracee is needed to look. */
export interface Home {
  readonly pid: number;
  readonly gadgets: Gadgets;
  /** Undefined for a thread that has ended. */
  readonly stateOf: (tid: number) => ThreadState | undefined;
  /** Stops a running thread; undefined if it cannot be stopped just now. */
  readonly holdOne: (tid: number) => HeldThread | undefined;
}

/**
 * Stops it for a moment, again and again while it is on its way.
 *
 * @returns false as well if it cannot be stopped
 * @throws TraceeError, LinuxError, SystemCallError
 */
export function isHome({ pid, gadgets, stateOf, holdOne }: Home, tid: number): boolean {
  const start = performance.now();
  while (performance.now() - start < HOME_LIMIT_MS) {
    // It stands at an error of its own.
    if (stateOf(tid) === "held") return true;
    if (stateOf(tid) === "running" && borrowable(pid, [tid]).length === 0) return true;
    const held = holdOne(tid);
    if (held === undefined) {
      if (stateOf(tid) === "group-stop") return false;
      continue;
    }
    try {
      if (!isOnItsWay(pid, tid, gadgets)) return true;
    } finally {
      held.withhold();
    }
    pause(1);
  }
  return stateOf(tid) === undefined;
}
