/** Waiting for stops, synchronously. */

import { pollThread, type ThreadEvent, yieldProcessor } from "../linux/wait.js";
import { TraceeError } from "./tracee-error.js";

/** How long a thread may take to stop. A system call of ours takes microseconds; a machine under emulation is 100 times slower. */
const DEADLINE_MS = 5000;
/** Up to here we ask again at once: sleeping would cost more than the wait. Longer than a thread needs to read 2 MiB. */
const SPIN_MS = 0.6;
/** If we stood still ourselves (a paused host, memory on its way back from swap), the thread has had no more time than this. */
const MOST_OF_A_ROUND_MS = 100;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Waits for one thread's next stop; nobody else is served meanwhile.
 *
 * @param tid a thread that was told to run or to stop
 * @param meanwhile done at each look: what the thread may be waiting for
 * @returns its next event
 * @throws TraceeError HM_TRACEE_STUCK if nothing happens in time, HM_TRACEE_GONE if the thread is no longer ours
 */
export function nextStop(tid: number, meanwhile: () => void = () => {}): ThreadEvent {
  let waited = 0;
  let last = performance.now();
  for (;;) {
    meanwhile();
    const event = pollThread(tid);
    if (event === "none-left") {
      throw new TraceeError("HM_TRACEE_GONE", `Thread ${tid} is gone`, { expected: "a traced thread" });
    }
    if (event !== "nothing-yet") return event;
    const now = performance.now();
    waited += Math.min(now - last, MOST_OF_A_ROUND_MS);
    last = now;
    if (waited > DEADLINE_MS) {
      throw new TraceeError("HM_TRACEE_STUCK", `Thread ${tid} does not stop`, {
        present: `nothing for ${DEADLINE_MS} ms`,
        expected: "a stop within microseconds",
        remedy: "It may wait for storage; it was left to itself",
      });
    }
    pause(waited);
  }
}

/**
 * Passes a moment between two looks.
 *
 * @param waitedMs how long the wait has lasted already
 */
export function pause(waitedMs: number): void {
  if (waitedMs < SPIN_MS) yieldProcessor();
  else Atomics.wait(sleeper, 0, 0, 0.1);
}
