/**
 * Keeps the kernel from telling QEMU of errors that nobody has touched.
 *
 * QEMU's main thread asks for such signals ("early kill"), and gets them through a signalfd, past any tracer; each puts a page on
 * QEMU's list. The policy belongs to a thread and goes on to the threads it creates (include/linux/sched.h, PF_MCE_EARLY), and the
 * kernel takes the first thread that has it (mm/memory-failure.c, find_early_kill_thread()): so every thread must give it up.
 *
 * No QEMU chooses "late" by itself. So where a thread has it, a guard that died has left it, and it goes back with ours.
 */

import { wantsErrorsLate } from "../linux/procfs/stat.js";
import { isGone, RemoteCallError, type RemoteCalls } from "../tracee/remote-calls.js";
import type { Tracee } from "../tracee/tracee.js";
import { isStuck } from "../tracee/tracee-error.js";

// include/uapi/linux/prctl.h
const PR_MCE_KILL = 33;
const PR_MCE_KILL_SET = 1;
const PR_MCE_KILL_LATE = 0;
const PR_MCE_KILL_EARLY = 1;
const PR_MCE_KILL_GET = 34;

/** How long giving back may take as a whole, in milliseconds. */
const RESTORE_LIMIT_MS = 500;

/** See the head of the file. */
export class KillPolicy {
  readonly #tracee: Tracee;
  /** Threads that were looked at, and whether they are "late" now. */
  readonly #seen = new Map<number, boolean>();

  #wanted = false;

  constructor(tracee: Tracee) {
    this.#tracee = tracee;
  }

  /**
   * Makes every thread "late" that can be stopped now; or, if that is not wanted, undoes what a dead guard has left. A process that is
   * ending is left alone.
   */
  begin(wanted: boolean): void {
    this.#wanted = wanted;
    if (wanted) this.again();
    else unlessStuck(() => this.#undoLeft());
  }

  #undoLeft(): void {
    const { pid } = this.#tracee;
    if (wantsErrorsLate(pid, pid)) this.#restoreAll();
  }

  /** The same, if it is wanted, for those that could not be stopped before. */
  again(): void {
    if (this.#wanted) unlessStuck(() => this.#postponeUnseen());
  }

  #postponeUnseen(): void {
    for (const tid of this.#mainFirst()) {
      if (this.#seen.has(tid)) continue;
      this.#with(tid, (remote) => {
        const policy = remote.call("prctl", PR_MCE_KILL_GET, 0, 0, 0, 0);
        if (policy === BigInt(PR_MCE_KILL_EARLY)) setPolicy(remote, PR_MCE_KILL_LATE);
        this.#seen.set(tid, policy === BigInt(PR_MCE_KILL_EARLY) || policy === BigInt(PR_MCE_KILL_LATE));
      });
    }
  }

  /** Makes every thread "early" again that was, and those they have created meanwhile. */
  restore(): void {
    if (this.#seen.size > 0) unlessStuck(() => this.#restoreAll());
  }

  #restoreAll(): void {
    const deadline = performance.now() + RESTORE_LIMIT_MS;
    for (const tid of this.#mainFirst()) {
      if (performance.now() > deadline) return;
      if (this.#seen.get(tid) === false) continue;
      this.#with(tid, (remote) => {
        if (remote.call("prctl", PR_MCE_KILL_GET, 0, 0, 0, 0) === BigInt(PR_MCE_KILL_LATE))
          setPolicy(remote, PR_MCE_KILL_EARLY);
      });
    }
  }

  /** The main thread is the one that the kernel would take. */
  #mainFirst(): number[] {
    const { pid, threadIds } = this.#tracee;
    return [pid, ...threadIds.filter((tid) => tid !== pid)];
  }

  #with(tid: number, work: (remote: RemoteCalls) => void): void {
    const held = this.#tracee.hold(tid);
    if (held === undefined) return;
    try {
      using remote = held.borrow();
      work(remote);
    } catch (error) {
      // A filter that refuses it: the thread stays as it is, and QEMU is told as it would be without us.
      if (!(error instanceof RemoteCallError)) throw error;
    } finally {
      held.withhold();
    }
  }
}

function unlessStuck(work: () => void): void {
  try {
    work();
  } catch (error) {
    // Frozen threads keep their policy: the next guard gives it back.
    if (!isGone(error) && !isStuck(error)) throw error;
  }
}

function setPolicy(remote: RemoteCalls, policy: number): void {
  // SAFETY: decides when the kernel tells of errors, never whether: a touch always does. If we die, the next guard gives it back.
  remote.call("prctl", PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0);
}
