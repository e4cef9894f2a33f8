/**
 * Large page pools: /sys/kernel/mm/hugepages and each NUMA node's share of them
 * (Documentation/admin-guide/mm/hugetlbpage.rst), and what the kernel has taken away after memory errors.
 */

import { LinuxError } from "../linux-error.js";
import { decimalNames, errnoOf, formatError, listDirectory, readText } from "./proc-file.js";

/** One pool. */
export interface HugepagePool {
  /** Size of one page, in bytes. */
  readonly pageSize: number;
  /** NUMA node, or undefined for the whole machine. */
  readonly node: number | undefined;
  /** Pages the pool has, in use or not. */
  readonly total: number;
  readonly free: number;
  /** Free pages promised to a mapping; always 0 for one node, which the kernel does not count. */
  readonly reserved: number;
  /** Pages above nr_hugepages, taken by overcommit. */
  readonly surplus: number;
}

const GLOBAL = "/sys/kernel/mm/hugepages";
const NODES = "/sys/devices/system/node";

/** @param name directory name, for example `hugepages-2048kB` @returns bytes, or undefined for another name */
export function parsePoolName(name: string): number | undefined {
  const kilobytes = /^hugepages-([1-9]\d{0,11})kB$/.exec(name)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/**
 * @param file name, for the message
 * @param text the whole of a counter file
 * @throws LinuxError HM_PROC_FORMAT when it is not one whole number
 */
export function parseCounter(file: string, text: string): number {
  const digits = text.trim();
  const value = Number(digits);
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(value)) throw formatError(file, "a whole number", text);
  return value;
}

function counter(path: string): number {
  return parseCounter(path, readText(path));
}

function poolsIn(directory: string, node: number | undefined): HugepagePool[] {
  const pools: HugepagePool[] = [];
  for (const name of names(directory)) {
    const pageSize = parsePoolName(name);
    if (pageSize === undefined) continue;
    const path = `${directory}/${name}`;
    pools.push({
      pageSize,
      node,
      total: counter(`${path}/nr_hugepages`),
      free: counter(`${path}/free_hugepages`),
      reserved: node === undefined ? counter(`${path}/resv_hugepages`) : 0,
      surplus: counter(`${path}/surplus_hugepages`),
    });
  }
  return pools.sort((left, right) => left.pageSize - right.pageSize);
}

/** An absent directory means: none of them (no hugetlbfs, no NUMA). */
function names(directory: string): string[] {
  try {
    return listDirectory(directory);
  } catch (error) {
    if (error instanceof LinuxError && errnoOf(error) === "HM_PROC_GONE") return [];
    throw error;
  }
}

/** @returns the machine's pools by ascending page size; none without hugetlbfs @throws LinuxError HM_PROC_… */
export function readHugepagePools(): HugepagePool[] {
  return poolsIn(GLOBAL, undefined);
}

/** @returns the pools of every NUMA node, by node and page size @throws LinuxError HM_PROC_… */
export function readNodePools(): HugepagePool[] {
  const ids = decimalNames(
    names(NODES).flatMap((name) => (name.startsWith("node") ? [name.slice("node".length)] : [])),
    0,
  );
  return ids.flatMap((id) => poolsIn(`${NODES}/node${id}/hugepages`, id));
}

/**
 * @param text the whole of /proc/meminfo
 * @param name of a line, for example `MemAvailable`
 * @returns its value in bytes; undefined when the kernel has no such line
 * @throws LinuxError HM_PROC_FORMAT
 */
export function parseMeminfo(text: string, name: string): number | undefined {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name}:`));
  if (line === undefined) return undefined;
  const kilobytes = /^ *(\d{1,12}) kB$/.exec(line.slice(name.length + 1))?.[1];
  if (kilobytes === undefined) throw formatError("/proc/meminfo", `${name}: N kB`, line);
  return Number(kilobytes) * 1024;
}

/** @returns bytes the kernel took out of use after memory errors; undefined without CONFIG_MEMORY_FAILURE */
export function readHardwareCorrupted(): number | undefined {
  return parseMeminfo(readText("/proc/meminfo"), "HardwareCorrupted");
}

/** @returns bytes that can be allocated without swapping (Linux 3.14 and later); 0 when the kernel does not say */
export function readAvailableMemory(): number {
  return parseMeminfo(readText("/proc/meminfo"), "MemAvailable") ?? 0;
}
