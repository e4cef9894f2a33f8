/** Which release a running QEMU is of, without asking it. */

import { closeSync, openSync, readSync } from "node:fs";
import { newestMachineType, olderThan, type QemuRelease } from "./qemu-release.js";

const PIECE = 2 ** 20;
/** Longer than any name that is looked for. */
const OVERLAP = 64;
/** Far more than any QEMU has. */
const LIMIT = 2 ** 28;

/**
 * Reads the program itself, which stays there when its package is replaced: 20 to 30 MiB.
 *
 * @param pid a process
 * @returns undefined for a program that is no QEMU for x86, or that may not be read
 */
export function programRelease(pid: number): QemuRelease | undefined {
  let file: number;
  try {
    file = openSync(`/proc/${pid}/exe`, "r");
  } catch {
    return undefined;
  }
  try {
    return newestIn(file);
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

function newestIn(file: number): QemuRelease | undefined {
  const piece = Buffer.alloc(OVERLAP + PIECE);
  let newest: QemuRelease | undefined;
  for (let at = 0; at < LIMIT; at += PIECE) {
    const length = readSync(file, piece, OVERLAP, PIECE, at);
    if (length === 0) break;
    const found = newestMachineType(piece.toString("latin1", 0, OVERLAP + length));
    const newer =
      found !== undefined && (newest === undefined || olderThan(newest, found.major, found.minor));
    if (newer) newest = found;
    // A name may lie across the border; one that is cut off in front of it ends in no digit it could be mistaken for.
    piece.copyWithin(0, length, length + OVERLAP);
  }
  return newest;
}
