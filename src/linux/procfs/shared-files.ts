/**
 * Whether a process shares a file, asked of the kernel: it walks the mappings, and only the shared ones of files come back. Most processes
 * have none or a few, so the answer takes a fraction of what reading /proc/PID/maps does.
 *
 * ioctl PROCMAP_QUERY on /proc/PID/maps, since Linux 6.11 (include/uapi/linux/fs.h, fs/proc/task_mmu.c do_procmap_query()). "Shared" is
 * VM_MAYSHARE there, as in the text, so that mappings of files opened for reading only count (tried).
 */

import { closeSync, openSync } from "node:fs";
import { errno } from "../errno.js";
import { allocateNative, type NativeMemory } from "../native-memory.js";
import { trySystemCall } from "../system-call.js";
import { deviceText, PROCMAP_QUERY, QUERY_SIZE, queryField } from "./mapping-query.js";
import type { Mapping } from "./maps.js";
import { errnoOf, procPath } from "./proc-file.js";

/** PROCMAP_QUERY_VMA_SHARED, _COVERING_OR_NEXT_VMA, _FILE_BACKED_VMA. */
const NEXT_SHARED_FILE = 0x08n | 0x10n | 0x20n;

/** From so many shared mappings on the text is read faster. */
const MOST_QUERIES = 64;

let query: NativeMemory | undefined;
let known = true;

/**
 * A quick first look. Private mappings are not seen.
 *
 * @param pid any process
 * @param files what to look for
 * @returns false if it shares none of them; true if it does, or if that cannot be told so quickly
 * @throws LinuxError HM_BAD_PID
 */
export function mayShare(pid: number, files: readonly Pick<Mapping, "device" | "inode">[]): boolean {
  if (!known) return true;
  let fd: number;
  try {
    fd = openSync(procPath(pid, "maps"), "r");
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ESRCH") return false;
    if (code === undefined) throw error;
    return true;
  }
  try {
    return ask(fd, files);
  } finally {
    closeSync(fd);
  }
}

function ask(fd: number, files: readonly Pick<Mapping, "device" | "inode">[]): boolean {
  query ??= allocateNative(QUERY_SIZE);
  const { address, bytes } = query;
  let from = 0n;
  for (let count = 0; count < MOST_QUERIES; count += 1) {
    bytes.fill(0);
    bytes.writeBigUInt64LE(BigInt(QUERY_SIZE), queryField.size);
    bytes.writeBigUInt64LE(NEXT_SHARED_FILE, queryField.queryFlags);
    bytes.writeBigUInt64LE(from, queryField.address);
    // SAFETY: reads only; `fd` is a /proc/PID/maps and `address` a struct procmap_query of ours without buffers for names.
    const error = trySystemCall("ioctl", fd, PROCMAP_QUERY, address).errno;
    // No further mapping; or no memory at all: a kernel thread, a process that is ending.
    if (error === errno.ENOENT || error === errno.ESRCH) return false;
    if (error === errno.ENOTTY) known = false;
    if (error !== 0) return true;
    const inode = bytes.readBigUInt64LE(queryField.inode);
    const device = deviceText(
      bytes.readUInt32LE(queryField.deviceMajor),
      bytes.readUInt32LE(queryField.deviceMinor),
    );
    if (files.some((file) => file.inode === inode && file.device === device)) return true;
    from = bytes.readBigUInt64LE(queryField.end);
  }
  return true;
}
