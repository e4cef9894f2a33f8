/**
 * Step 9 of the walk, after a guest reset: the poisoned large page leaves its file, a healthy one from the pool takes its
 * place, and the small pages go.
 *
 * The new large page gets what the small ones hold now, lost pages become zeros: after a reset nothing of them is expected,
 * but firmware may have put things into the rest before we came.
 */

import { closeSync, fstatSync, openSync, readdirSync, statfsSync, statSync } from "node:fs";
import { type Hva, hva } from "../linux/address.js";
import { errno } from "../linux/errno.js";
import { mapping as flags } from "../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { tryReadProcess, writeProcess } from "../linux/process-memory.js";
import { HUGETLBFS_MAGIC, mapFilesPath } from "../linux/procfs/map-files.js";
import { systemCall, trySystemCall } from "../linux/system-call.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import type { PlacedOverlay } from "./classify.js";
import { SMALL_PAGE } from "./large-page.js";
import type { OverlayIdentity } from "./overlay-name.js";
import { copyAttributes, type RamAttributes } from "./ram-attributes.js";
import { RecoveryError } from "./recovery-error.js";

/** What became of an overlay. `cleared`: the pool had no page, so the small pages stay, without their lost ones. */
export type HealOutcome = "healed" | "cleared";

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const MADV_DONTNEED = 4;
const PIECE = 65536;

/**
 * @param remote a borrowed thread of the VM, which stands still as a whole
 * @param processDescriptor pidfd of the VM
 * @param placed an overlay in place
 * @param attributes what the RAM carries
 * @throws HugemendError: the small pages are in place as before
 */
export function healLargePage(
  remote: RemoteCalls,
  processDescriptor: number,
  placed: PlacedOverlay,
  attributes: RamAttributes,
): HealOutcome {
  const { overlay, mapping } = placed;
  if (mapping.start !== overlay.base || mapping.end - mapping.start !== BigInt(overlay.size)) {
    throw new RecoveryError("HM_HEAL_SPLIT", "The replacement is no longer one mapping", {
      present: `${mapping.end - mapping.start} bytes`,
      expected: `${overlay.size} bytes`,
      remedy: "The small pages stay in place",
    });
  }
  const theirs = findDescriptor(remote.pid, overlay);
  if (!renewLargePage(processDescriptor, theirs, overlay)) {
    clearLostPages(remote, placed);
    return "cleared";
  }
  const protection = (mapping.read ? flags.PROT_READ : 0) | (mapping.write ? flags.PROT_WRITE : 0);
  // SAFETY: a new mapping where nothing was, of QEMU's own file; our death leaves it unused beside the RAM.
  const region = hva(
    remote.call("mmap", 0, overlay.size, protection, flags.MAP_SHARED, theirs, overlay.offset),
  );
  try {
    copyReadable(remote.pid, overlay.base, region, overlay.size);
    copyAttributes(remote, region, overlay.size, attributes);
    // SAFETY: one call puts the finished large page over the small ones; if we die it has happened or it has not.
    const both = flags.MREMAP_MAYMOVE | flags.MREMAP_FIXED;
    remote.call("mremap", region, overlay.size, overlay.size, both, overlay.base);
  } catch (error) {
    // SAFETY: still our own new mapping.
    remote.call("munmap", region, overlay.size);
    throw error;
  }
  return "healed";
}

/** QEMU's own descriptor of the RAM file: a mapping needs one of the process that maps. */
function findDescriptor(pid: number, overlay: OverlayIdentity): number {
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const { dev, ino } = statOrZero(`/proc/${pid}/fd/${name}`);
    if (ino === overlay.inode && deviceName(dev) === overlay.device) return Number(name);
  }
  throw new RecoveryError("HM_HEAL_NO_FILE", "The process has no descriptor of its RAM file any more", {
    expected: `inode ${overlay.inode} on device ${overlay.device}`,
    remedy: "The small pages stay in place",
  });
}

function statOrZero(path: string): { dev: bigint; ino: bigint } {
  return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? { dev: 0n, ino: 0n };
}

/** `major:minor` as in /proc/PID/maps, from st_dev (include/linux/kdev_t.h new_encode_dev). */
function deviceName(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn);
  return [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":");
}

/**
 * Works on a copy of the VM's own descriptor, so with no more rights than the VM has: its overlay's name, which says which file
 * and where, is the VM's word only.
 *
 * @returns false if the pool has no page to give
 */
function renewLargePage(processDescriptor: number, theirs: number, overlay: OverlayIdentity): boolean {
  const file = takeDescriptor(processDescriptor, theirs);
  try {
    refuseOtherFiles(file, overlay);
    const { offset, size } = overlay;
    // SAFETY: the overlay hides this part of the file from the VM, and nobody else maps it; after our death the part is a hole
    // that the next guard fills.
    systemCall("fallocate", file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
    // SAFETY: as above; takes a page from the pool or fails cleanly.
    const { errno: error } = trySystemCall("fallocate", file, 0, offset, size);
    if (error === 0) return true;
    if (error === errno.ENOSPC || error === errno.ENOMEM) return false;
    throw new RecoveryError("HM_HEAL_ALLOCATE", "The RAM file cannot get a new large page", {
      present: `errno ${error}`,
      remedy: "The small pages stay in place",
    });
  } finally {
    closeDescriptor(file);
  }
}

/** Between its name and its use a descriptor may have changed: what was taken is looked at, not its number. */
function refuseOtherFiles(file: number, overlay: OverlayIdentity): void {
  const { dev, ino, size } = fstatSync(file, { bigint: true });
  const { type, bsize } = statfsSync(`/proc/self/fd/${file}`);
  const sameFile = ino === overlay.inode && deviceName(dev) === overlay.device;
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

function copyReadable(pid: number, from: Hva, to: Hva, size: number): void {
  for (let offset = 0; offset < size; offset += PIECE) {
    const length = Math.min(PIECE, size - offset);
    if (copyPiece(pid, from, to, offset, length)) continue;
    for (let page = offset; page < offset + length; page += SMALL_PAGE)
      copyPiece(pid, from, to, page, SMALL_PAGE);
  }
}

function copyPiece(pid: number, from: Hva, to: Hva, offset: number, length: number): boolean {
  const bytes = tryReadProcess(pid, hva(from + BigInt(offset)), length);
  // SAFETY: the target is our own new mapping of a healthy page.
  if (bytes !== undefined) writeProcess(pid, hva(to + BigInt(offset)), bytes);
  return bytes !== undefined;
}

/** Takes markers and poison away: the lost pages read as zeros from then on. */
function clearLostPages(remote: RemoteCalls, { overlay, mapping }: PlacedOverlay): void {
  const file = openSync(mapFilesPath(remote.pid, mapping), "r+");
  try {
    for (let offset = 0; offset < overlay.size; offset += SMALL_PAGE) {
      const page = hva(overlay.base + BigInt(offset));
      if (tryReadProcess(remote.pid, page, 1) !== undefined) continue;
      // SAFETY: a lost page of a guest that was reset: it holds nothing, and its place in the overlay's file may become a hole.
      systemCall("fallocate", file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, SMALL_PAGE);
      // SAFETY: as above; the marker in the page table goes.
      remote.call("madvise", page, SMALL_PAGE, MADV_DONTNEED);
    }
  } finally {
    closeSync(file);
  }
}
