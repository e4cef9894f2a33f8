/** How much more memory a process may take: what the host has, and what its control groups allow (cgroups(7)). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { procPath } from "./proc-file.js";

const ROOT = "/sys/fs/cgroup";

/** One control group's account. */
interface Account {
  /** Bytes that are not used. */
  readonly free: number;
  /** Bytes that could be freed; takes a while to find out. */
  reclaimable(): number;
}

/** Documentation/filesystems/proc.rst: what the host can give without swapping. 0 if the kernel does not say. */
export function availableMemory(): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readText("/proc/meminfo") ?? "")?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/**
 * @param pid who would pay for the memory
 * @param enough bytes beyond which it does not matter how many there are
 * @returns bytes, exact below `enough`; never more than the host has. Limits that cannot be read do not count
 */
export function memoryHeadroom(pid: number | "self", enough: number): number {
  const groups = readText(pid === "self" ? "/proc/self/cgroup" : procPath(pid, "cgroup")) ?? "";
  const left = accountsOf(groups).map((account) =>
    account.free >= enough ? account.free : Math.max(0, account.free + account.reclaimable()),
  );
  return Math.min(availableMemory(), ...left);
}

/** @param text of /proc/PID/cgroup @returns accounts that have a limit, from the process's own group up to the root */
function accountsOf(text: string): Account[] {
  const unified = /^0::(\/.*)$/m.exec(text)?.[1];
  const legacy = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(\/.*)$/m.exec(text)?.[1];
  const found: (Account | undefined)[] = [];
  if (unified !== undefined)
    for (const path of upwards(unified)) found.push(unifiedAccount(join(ROOT, path)));
  if (legacy !== undefined) {
    for (const path of upwards(legacy)) found.push(legacyAccount(join(ROOT, "memory", path)));
  }
  return found.filter((account) => account !== undefined);
}

function upwards(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, up) => parts.slice(0, parts.length - up).join("/"));
}

/** Documentation/admin-guide/cgroup-v2.rst. Inactive pages of files are given back when they are needed. */
function unifiedAccount(folder: string): Account | undefined {
  const limit = readText(join(folder, "memory.max"))?.trim();
  const used = readText(join(folder, "memory.current"))?.trim();
  if (limit === undefined || used === undefined || limit === "max") return undefined;
  return {
    free: Number(limit) - Number(used),
    reclaimable: () => reclaimable(folder, "inactive_file"),
  };
}

/** Documentation/admin-guide/cgroup-v1/memory.rst. */
function legacyAccount(folder: string): Account | undefined {
  const limit = readText(join(folder, "memory.limit_in_bytes"))?.trim();
  const used = readText(join(folder, "memory.usage_in_bytes"))?.trim();
  if (limit === undefined || used === undefined) return undefined;
  return {
    free: Number(limit) - Number(used),
    reclaimable: () => reclaimable(folder, "total_inactive_file"),
  };
}

function reclaimable(folder: string, name: string): number {
  const text = readText(join(folder, "memory.stat")) ?? "";
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
