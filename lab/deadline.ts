import { LabError } from "./lab-error.js";

/**
 * Bounds a wait. Nothing in the lab waits without an end.
 *
 * @param what what is waited for, completing "Waited in vain for …"
 * @param timeoutMs how long
 * @param promise what to wait for
 * @throws LabError `HM_LAB_TIMEOUT` when the time is over first
 */
export async function within<T>(what: string, timeoutMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(() => {
      failed(
        new LabError("HM_LAB_TIMEOUT", `Waited in vain for ${what}`, {
          present: `nothing after ${timeoutMs / 1000} s`,
        }),
      );
    }, timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
