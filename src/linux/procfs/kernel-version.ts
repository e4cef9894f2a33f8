/**
 * The running kernel's release, and what its read() does on a poisoned hugetlbfs page. Salvage stands on that
 * answer alone, so an unknown or broken kernel must be named before an error comes, not after it.
 */

import { formatError, readText } from "./proc-file.js";

/** A kernel release, `6.12.107-amd64` for example. */
export interface KernelRelease {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** The whole text, as `uname -r` prints it. */
  readonly text: string;
}

/**
 * - `drops`: the poisoned page leaves the file, later reads give zeros (before 6.1)
 * - `all-eio`: every byte of the large page reads as EIO (6.1 to 6.5, mainline 8625147cafaa)
 * - `broken`: read() may walk into the poison (6.7 tests the wrong flag)
 * - `ok`: good bytes read, only the bad 4 KiB gives EIO (6.6 with 38c1ddbde6c6; 6.8 and later)
 */
export type SalvageSupport = "drops" | "all-eio" | "broken" | "ok";

/**
 * @param text the release, with or without a newline
 * @throws LinuxError HM_PROC_FORMAT when it does not start with MAJOR.MINOR
 */
export function parseRelease(text: string): KernelRelease {
  const release = text.trim();
  const [, major, minor, patch] = /^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?(?:[^0-9].*)?$/.exec(release) ?? [];
  if (major === undefined || minor === undefined) {
    throw formatError("The kernel release", "MAJOR.MINOR[.PATCH]…", text);
  }
  return { major: Number(major), minor: Number(minor), patch: Number(patch ?? 0), text: release };
}

/** @returns the running kernel's release (/proc/sys/kernel/osrelease) @throws LinuxError HM_PROC_… */
export function readRelease(): KernelRelease {
  return parseRelease(readText("/proc/sys/kernel/osrelease"));
}

/** @returns negative, 0 or positive as the release is older than, equal to or newer than MAJOR.MINOR */
export function compareRelease(release: KernelRelease, major: number, minor: number): number {
  return release.major - major || release.minor - minor;
}

/**
 * By upstream version. A vendor may have carried the fix of 6.6 back to an older version; that cannot be seen
 * from the number, so such a kernel is judged by its number.
 */
export function salvageSupport(release: KernelRelease): SalvageSupport {
  if (compareRelease(release, 6, 1) < 0) return "drops";
  if (compareRelease(release, 6, 6) < 0) return "all-eio";
  if (compareRelease(release, 6, 7) === 0) return "broken";
  return "ok";
}
