/** Letting go of traced threads. */

import { errno } from "../linux/errno.js";
import { readTasks } from "../linux/procfs/tasks.js";
import * as ptrace from "../linux/ptrace.js";
import { SystemCallError } from "../linux/system-call.js";
import { pollAnyThread, yieldProcessor } from "../linux/wait.js";

/**
 * Detaches every thread. A thread can only be detached while it stands, so each is stopped for a moment. One that does not stop
 * within the budget is detached by the kernel when this process ends.
 *
 * @param pid the process
 * @param known threads that are traced; others that have come along are looked for
 * @param budgetMs how long it may take
 */
export function detachAll(pid: number, known: Iterable<number>, budgetMs: number): void {
  const deadline = performance.now() + budgetMs;
  const waiting = new Set<number>();
  for (const tid of known) {
    // SAFETY: the stop is only for the detach below; if we die before it, the kernel lets the thread run on.
    ignoreGone(() => ptrace.interrupt(tid));
    waiting.add(tid);
  }
  for (const tid of readTasksOrNone(pid)) waiting.add(tid);
  while (waiting.size > 0 && performance.now() < deadline) {
    const event = pollAnyThread();
    if (event === "none-left") return;
    if (event === "nothing-yet") {
      yieldProcessor();
      continue;
    }
    waiting.delete(event.tid);
    const { status } = event;
    if (status.kind === "signal") detachOne(event.tid, status.signal);
    else if (status.kind !== "exited" && status.kind !== "killed") detachOne(event.tid, 0);
  }
}

/** Lets go of a thread that stands. @param deliver a signal, or 0 */
export function detachOne(tid: number, deliver: number): void {
  ignoreGone(() => ptrace.detach(tid, deliver));
}

/** A thread that was killed while it stood: its end is reported separately. */
export function ignoreGone(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof SystemCallError && error.errno === errno.ESRCH)) throw error;
  }
}

function readTasksOrNone(pid: number): number[] {
  try {
    return readTasks(pid);
  } catch {
    return [];
  }
}
