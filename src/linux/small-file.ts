/**
 * Small texts that the kernel makes up as they are read, and folders of links below /proc, with nothing but the system calls themselves:
 * what a recovery looks at while a virtual CPU stands still. A file that is not there is an answer here, not an exception.
 */

import { errno } from "./errno.js";
import type { RawResult } from "./native.js";
import { allocateNative } from "./native-memory.js";
import { closeDescriptor } from "./pidfd.js";
import { SystemCallError, trySystemCall } from "./system-call.js";

/** O_CLOEXEC and nothing else: open for reading (include/uapi/asm-generic/fcntl.h; the same on x86-64 and arm64). */
const O_CLOEXEC = 0o2000000;
/** AT_FDCWD of openat(2). */
const FROM_HERE = -100;
/** PATH_MAX of include/uapi/linux/limits.h: the longest path or link with its end. */
const PATH_LIMIT = 4096;
const TEXT_LIMIT = 32768;

const scratch = allocateNative(PATH_LIMIT + TEXT_LIMIT);
/** What goes to the kernel, or a link that comes from it. */
const pathAt = scratch.address;
/** What comes from the kernel. */
const textAt = scratch.address + BigInt(PATH_LIMIT);

/** @returns whether it fits */
function putPath(path: string): boolean {
  const size = scratch.bytes.write(path, 0, PATH_LIMIT - 1, "utf8");
  scratch.bytes[size] = 0;
  // A character takes at most three bytes; where it could be cut short it is not taken at all.
  return size < PATH_LIMIT - 4;
}

/** @param path shorter than 4,092 bytes @returns a descriptor that is open for reading, or the error number */
export function openPath(path: string): RawResult {
  if (!putPath(path)) return { value: -1n, errno: errno.EINVAL };
  // SAFETY: a new descriptor of ours; the path lies in scratch memory of ours.
  return trySystemCall("openat", FROM_HERE, pathAt, O_CLOEXEC, 0);
}

/** @param descriptor of a file of at most 32 KiB @returns its text from the beginning, or undefined if it cannot be read */
export function readFromStart(descriptor: number): string | undefined {
  // SAFETY: the kernel writes into scratch memory of ours, which is that large.
  const { value, errno: failed } = trySystemCall("pread64", descriptor, textAt, TEXT_LIMIT, 0);
  if (failed !== 0) return undefined;
  return scratch.bytes.toString("utf8", PATH_LIMIT, PATH_LIMIT + Number(value));
}

/**
 * @param path of a file of at most 32 KiB
 * @returns its text
 * @throws SystemCallError
 */
export function readSmallFile(path: string): string {
  const opened = openPath(path);
  if (opened.errno !== 0) throw new SystemCallError("openat", opened.errno);
  const descriptor = Number(opened.value);
  try {
    // SAFETY: as above.
    const { value, errno: failed } = trySystemCall("pread64", descriptor, textAt, TEXT_LIMIT, 0);
    if (failed !== 0) throw new SystemCallError("pread64", failed);
    return scratch.bytes.toString("utf8", PATH_LIMIT, PATH_LIMIT + Number(value));
  } finally {
    closeDescriptor(descriptor);
  }
}

/** What kind of file system a file lies on. */
export interface FileSystemKind {
  /** f_type of statfs(2). */
  readonly type: number;
  /** f_bsize of statfs(2), in bytes. */
  readonly blockSize: number;
}

/** @param path shorter than 4,092 bytes @throws SystemCallError */
export function readFileSystemKind(path: string): FileSystemKind {
  if (!putPath(path)) throw new SystemCallError("statfs", errno.EINVAL);
  // SAFETY: the path lies in scratch memory of ours, and struct statfs, 120 bytes, fits the rest of it.
  const { errno: failed } = trySystemCall("statfs", pathAt, textAt);
  if (failed !== 0) throw new SystemCallError("statfs", failed);
  // include/uapi/asm-generic/statfs.h: both are 64-bit words on x86-64 and arm64, far below 2^32.
  const { bytes } = scratch;
  return { type: bytes.readUInt32LE(PATH_LIMIT), blockSize: bytes.readUInt32LE(PATH_LIMIT + 8) };
}

/** A link in a folder. */
export interface Link {
  readonly name: string;
  readonly target: string;
}

// struct linux_dirent64 of getdents64(2): d_ino, d_off, d_reclen, d_type, then the name and its end.
const RECORD_LENGTH = 16;
const NAME = 19;

/**
 * @param path of a folder that holds links
 * @returns all of them, in the kernel's order; `.`, `..` and those that vanish meanwhile are left out
 * @throws SystemCallError
 */
export function readLinks(path: string): Link[] {
  const opened = openPath(path);
  if (opened.errno !== 0) throw new SystemCallError("openat", opened.errno);
  const folder = Number(opened.value);
  const found: Link[] = [];
  try {
    for (;;) {
      // SAFETY: the kernel writes into scratch memory of ours, which is that large.
      const { value, errno: failed } = trySystemCall("getdents64", folder, textAt, TEXT_LIMIT);
      if (failed !== 0) throw new SystemCallError("getdents64", failed);
      if (value === 0n) return found;
      takeLinks(folder, PATH_LIMIT + Number(value), found);
    }
  } finally {
    closeDescriptor(folder);
  }
}

/** @param end of what getdents64 has put into the scratch memory */
function takeLinks(folder: number, end: number, found: Link[]): void {
  const { bytes } = scratch;
  for (let at = PATH_LIMIT; at < end; at += bytes.readUInt16LE(at + RECORD_LENGTH)) {
    const name = bytes.toString("latin1", at + NAME, bytes.indexOf(0, at + NAME));
    if (name === "." || name === "..") continue;
    // SAFETY: the name lies where the kernel has put it, with its end; the kernel writes into the other part of our scratch memory.
    const { value, errno: failed } = trySystemCall(
      "readlinkat",
      folder,
      scratch.address + BigInt(at + NAME),
      pathAt,
      PATH_LIMIT,
    );
    if (failed === errno.ENOENT) continue;
    if (failed !== 0) throw new SystemCallError("readlinkat", failed);
    found.push({ name, target: bytes.toString("utf8", 0, Number(value)) });
  }
}
