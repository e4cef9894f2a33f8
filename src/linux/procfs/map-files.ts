/**
 * /proc/PID/map_files/START-END: opens exactly what is mapped, also when its file is unlinked, a memfd, or lies in
 * another mount namespace (fs/proc/base.c, proc_map_files_get_link(); needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE).
 */

import { readFileSystemKind } from "../small-file.js";
import type { Mapping } from "./maps.js";
import { checkedPid, errnoOf, readError } from "./proc-file.js";

/** f_type of hugetlbfs (HUGETLBFS_MAGIC, include/uapi/linux/magic.h). */
export const HUGETLBFS_MAGIC = 0x958458f6;

/** A mapping of hugetlbfs memory. */
export interface HugetlbMapping {
  readonly mapping: Mapping;
  /** Size of one large page, in bytes. */
  readonly pageSize: number;
}

/** @param pid owner of the mapping @returns the path that opens its file, valid as long as the mapping stays as it is */
export function mapFilesPath(pid: number, mapping: Pick<Mapping, "start" | "end">): string {
  return `/proc/${checkedPid(pid)}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
}

/** 0 for a file that is not on hugetlbfs; undefined when the mapping has changed, so that nothing is known. */
function pageSizeOrZero(pid: number, mapping: Mapping): number | undefined {
  if (mapping.inode === 0n) return 0;
  const path = mapFilesPath(pid, mapping);
  try {
    const { type, blockSize } = readFileSystemKind(path);
    // hugetlbfs_statfs() (fs/hugetlbfs/inode.c) sets f_bsize to the large page size of the mount.
    return type === HUGETLBFS_MAGIC ? blockSize : 0;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw readError(path, error);
  }
}

/**
 * @param pid owner of the mapping
 * @param mapping any mapping of the process
 * @returns the large page size in bytes, or undefined when the mapping is not hugetlbfs or has changed meanwhile
 * @throws LinuxError HM_PROC_DENIED, HM_PROC_READ, HM_BAD_PID
 */
export function hugetlbPageSize(pid: number, mapping: Mapping): number | undefined {
  const size = pageSizeOrZero(pid, mapping);
  return size === 0 ? undefined : size;
}

/**
 * Finds all hugetlbfs mappings with one statfs per device: every file of one hugetlbfs mount has its page size.
 * A mapping that changes while this runs is left out, and tells nothing about the others on its device.
 *
 * @param pid owner of the mappings
 * @param mappings as readMaps gives them
 * @returns those on hugetlbfs, ascending
 * @throws LinuxError HM_PROC_DENIED, HM_PROC_READ, HM_BAD_PID
 */
export function hugetlbMappings(pid: number, mappings: readonly Mapping[]): HugetlbMapping[] {
  const sizes = new Map<string, number>();
  const found: HugetlbMapping[] = [];
  for (const mapping of mappings) {
    if (mapping.inode === 0n) continue;
    const pageSize = sizes.get(mapping.device) ?? pageSizeOrZero(pid, mapping);
    if (pageSize === undefined) continue;
    sizes.set(mapping.device, pageSize);
    if (pageSize !== 0) found.push({ mapping, pageSize });
  }
  return found;
}
