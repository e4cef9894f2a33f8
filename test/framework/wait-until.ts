import { setTimeout as sleep } from "node:timers/promises";

/** How long a test waits for something that must come, on a loaded machine too. Nothing is measured with it. */
export const PATIENCE_MS = 30_000;

/**
 * Asks again until the answer is one. The only way tests wait for a state: no test sleeps and hopes.
 *
 * @param what is waited for, for the error
 * @param ask gives undefined or false for "not yet"
 * @param patienceMs how long to ask
 * @returns the first answer
 * @throws Error when it does not come in time
 */
export async function waitUntil<T>(
  what: string,
  ask: () => T | undefined | false,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${patienceMs} ms`);
    await sleep(5);
  }
}

/** @returns `promise`, or an error that names what did not come in time */
export async function inTime<T>(
  what: string,
  promise: Promise<T>,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const patience = new AbortController();
  const late = sleep(patienceMs, undefined, { signal: patience.signal }).then(() => {
    throw new Error(`${what}: not within ${patienceMs} ms`);
  });
  // Aborted when the promise was quicker.
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    patience.abort();
  }
}
