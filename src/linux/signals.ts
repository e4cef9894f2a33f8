/** Signal numbers (include/uapi/asm-generic/signal.h; the same on x86-64 and arm64) and names for people. */
export const signal = {
  SIGTRAP: 5,
  SIGBUS: 7,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
} as const;

/** @param number 1 to 64 @returns the bit of that signal in a 64-bit mask */
export function signalBit(number: number): bigint {
  return 1n << BigInt(number - 1);
}

/** All 64 signals but those named. */
export function maskAllBut(...numbers: readonly number[]): bigint {
  return numbers.reduce((mask, number) => mask & ~signalBit(number), (1n << 64n) - 1n);
}
