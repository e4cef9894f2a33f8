/**
 * Who else maps a file: a scan over /proc/PID/maps of every process. Nothing is frozen meanwhile, so a process
 * that starts during the scan can be missed; whoever needs certainty asks again while the VM is stopped.
 */

import type { Mapping } from "./maps.js";
import { parseMaps, readMapsText } from "./maps.js";
import { errnoOf, tryReadText } from "./proc-file.js";
import { readProcesses } from "./tasks.js";

/** What names a mapped file on this machine: device and inode as in /proc/PID/maps. */
export type FileId = Pick<Mapping, "device" | "inode">;

/** One process that maps one of the files. */
export interface Mapper {
  readonly pid: number;
  /** Command name; empty when it ended meanwhile. */
  readonly comm: string;
  readonly file: FileId;
  /** True when at least one of its mappings of the file is MAP_SHARED. */
  readonly shared: boolean;
}

/** The result of a scan. */
export interface MapperScan {
  readonly mappers: readonly Mapper[];
  /** Processes whose maps this user may not read: they could map the files too. */
  readonly unreadable: readonly number[];
}

/**
 * @param files the files to look for; the same one twice counts once
 * @param except process ids that are not reported, usually the VM itself
 * @returns every other process that maps one of them, one entry for each process and file
 * @throws LinuxError HM_PROC_READ, HM_PROC_FORMAT
 */
export function findMappers(files: readonly FileId[], except: readonly number[]): MapperScan {
  const mappers: Mapper[] = [];
  const unreadable: number[] = [];
  if (files.length === 0) return { mappers, unreadable };
  for (const pid of readProcesses()) {
    if (except.includes(pid)) continue;
    const found = findMappersIn(pid, files);
    if (found === "unreadable") unreadable.push(pid);
    else mappers.push(...found);
  }
  return { mappers, unreadable };
}

/**
 * The same for one process, for callers that must not stand still for a whole scan.
 *
 * @returns one entry for each file it maps; nothing if it has ended
 * @throws LinuxError HM_PROC_READ, HM_PROC_FORMAT
 */
export function findMappersIn(pid: number, files: readonly FileId[]): readonly Mapper[] | "unreadable" {
  let text: string;
  try {
    text = readMapsText(pid);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "HM_PROC_DENIED") return "unreadable";
    if (code === "HM_PROC_GONE") return [];
    throw error;
  }
  const wanted = new Map(files.map((file) => [` ${file.device} ${file.inode} `, file]));
  const mappers: Mapper[] = [];
  for (const [needle, file] of wanted) {
    // A cheap look first: nearly no process maps the file. The text may also stand in a path, so parse then.
    if (!text.includes(needle)) continue;
    const hits = parseMaps(text).filter(
      (mapping) => mapping.device === file.device && mapping.inode === file.inode,
    );
    if (hits.length === 0) continue;
    const comm = tryReadText(`/proc/${pid}/comm`) ?? "";
    mappers.push({ pid, comm, file, shared: hits.some((mapping) => mapping.shared) });
  }
  return mappers;
}
