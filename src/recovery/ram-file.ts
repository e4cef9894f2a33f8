/** The VM's own descriptor of the file behind an overlay: what a heal works with, so with no more rights than the VM has. */

import { type BigIntStats, closeSync, fstatSync, openSync, readdirSync, statfsSync, statSync } from "node:fs";
import { readAt } from "../linux/file-transfer.js";
import { allocateNative } from "../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { HUGETLBFS_MAGIC, mapFilesPath } from "../linux/procfs/map-files.js";
import { readMaps } from "../linux/procfs/maps.js";
import { SMALL_PAGE } from "./large-page.js";
import type { OverlayIdentity } from "./overlay-name.js";
import { RecoveryError } from "./recovery-error.js";

/** Which file: as /proc/PID/maps names it. */
export type FileOf = Pick<OverlayIdentity, "device" | "inode">;

/** See the head of the file. */
export interface RamFile extends Disposable {
  /** Our copy of the descriptor. */
  readonly ours: number;
  /** Its number in the VM's process. */
  readonly theirs: number;
}

/**
 * An overlay's name, which says which file and where, is the VM's word only: what is taken is looked at.
 *
 * @param processDescriptor pidfd of the VM
 * @throws RecoveryError HM_HEAL_NO_FILE unless it is large-page RAM of this size
 */
export function openRamFile(pid: number, processDescriptor: number, overlay: OverlayIdentity): RamFile {
  const theirs = findDescriptor(pid, overlay);
  const ours = takeDescriptor(processDescriptor, theirs);
  try {
    refuseOtherFiles(ours, overlay);
    return { ours, theirs, [Symbol.dispose]: () => closeDescriptor(ours) };
  } catch (error) {
    closeDescriptor(ours);
    throw error;
  }
}

/**
 * The file behind an overlay, to read what is missing in it: the VM's own descriptor, or, if it has closed that, what it maps of the
 * same file elsewhere.
 *
 * @param processDescriptor pidfd of the VM
 * @returns ours to close
 * @throws RecoveryError HM_HEAL_NO_FILE, or an error of the system: it cannot be had now
 */
export function openToRead(pid: number, processDescriptor: number, overlay: OverlayIdentity): number {
  if (lookForDescriptor(pid, overlay) !== undefined) return openRamFile(pid, processDescriptor, overlay).ours;
  const other = readMaps(pid).find(
    ({ device, inode }) => device === overlay.device && inode === overlay.inode,
  );
  if (other === undefined) throw noDescriptor(overlay);
  const file = openSync(mapFilesPath(pid, other), "r");
  try {
    refuseOtherFiles(file, overlay);
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function findDescriptor(pid: number, overlay: OverlayIdentity): number {
  const theirs = lookForDescriptor(pid, overlay);
  if (theirs !== undefined) return theirs;
  throw noDescriptor(overlay);
}

function noDescriptor({ device, inode }: FileOf): RecoveryError {
  return new RecoveryError("HM_HEAL_NO_FILE", "The process has no descriptor of its RAM file any more", {
    expected: `inode ${inode} on device ${device}`,
    remedy: "The small pages stay in place",
  });
}

/** @returns the VM's own descriptor of a RAM file; undefined if it has none any more */
export function lookForDescriptor(pid: number, file: FileOf): number | undefined {
  return readdirSync(`/proc/${pid}/fd`)
    .map(Number)
    .find((fd) => isStill(pid, fd, file));
}

/** Whether a number in the VM's process names a file, now. */
export function isStill(pid: number, theirs: number, file: FileOf): boolean {
  const stat = statSync(`/proc/${pid}/fd/${theirs}`, { bigint: true, throwIfNoEntry: false });
  return stat !== undefined && isFile(stat, file);
}

/** @param stat of a descriptor */
export function isFile({ ino, dev }: Pick<BigIntStats, "ino" | "dev">, file: FileOf): boolean {
  return ino === file.inode && deviceName(dev) === file.device;
}

/** `major:minor` as in /proc/PID/maps, from st_dev (include/linux/kdev_t.h new_encode_dev). */
function deviceName(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn);
  return [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":");
}

/** Between its name and its use a descriptor may have changed: what was taken is looked at, not its number. */
function refuseOtherFiles(file: number, overlay: OverlayIdentity): void {
  const { dev, ino, size } = fstatSync(file, { bigint: true });
  const { type, bsize } = statfsSync(`/proc/self/fd/${file}`);
  const sameFile = isFile({ ino, dev }, overlay);
  const end = overlay.offset + BigInt(overlay.size);
  if (sameFile && type === HUGETLBFS_MAGIC && bsize === overlay.size && end <= size) return;
  throw new RecoveryError(
    "HM_HEAL_NO_FILE",
    "The replacement does not belong to large-page RAM of this process",
    {
      present: `inode ${ino}, ${size} bytes in pages of ${bsize}`,
      expected: `inode ${overlay.inode} on hugetlbfs, a page of ${overlay.size} bytes at ${overlay.offset}`,
      remedy: "The small pages stay in place",
    },
  );
}

const buffer = allocateNative(SMALL_PAGE);
const zeros = Buffer.alloc(SMALL_PAGE);

/**
 * Whether 4 KiB of a large page are zeros in its file, read without an error. A bad page gives EIO there for as long as it is in the
 * file (fs/hugetlbfs/inode.c); a hole reads as zeros.
 *
 * @param file from {@link openRamFile}
 * @param at offset of the 4 KiB in the large page
 */
export function readsAsZeros({ ours }: RamFile, { offset }: OverlayIdentity, at: number): boolean {
  const { value, errno } = readAt(ours, buffer.address, SMALL_PAGE, offset + BigInt(at));
  return errno === 0 && value === BigInt(SMALL_PAGE) && buffer.bytes.equals(zeros);
}
