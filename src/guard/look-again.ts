/** Looks that come some time after the start, and some more while they could not tell: ever more rarely, and not for ever. */

/** After the start, in milliseconds. The next one repeats what one could not tell. */
const LOOKS_MS = [100, 1000, 10_000] as const;
/** After the last of them: each wait is twice as long as the one before, 500 ms to 64 s, two minutes in all. */
const FIRST_WAIT_MS = 500;
const MOST_WAITS = 8;

/**
 * @param look whether it could tell all that it looked for
 * @param besides called after each of the looks that come in any case
 */
export function lookAgain(look: () => boolean, besides: () => void): void {
  const once = (waits: number): void => {
    if (look() || waits === MOST_WAITS) return;
    setTimeout(() => once(waits + 1), FIRST_WAIT_MS * 2 ** waits).unref();
  };
  for (const delay of LOOKS_MS) {
    setTimeout(() => {
      once(delay === LOOKS_MS.at(-1) ? 0 : MOST_WAITS);
      besides();
    }, delay).unref();
  }
}
