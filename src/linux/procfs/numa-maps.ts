/**
 * /proc/PID/numa_maps: the NUMA policy of each mapping (fs/proc/task_mmu.c show_numa_map, mm/mempolicy.c mpol_to_str;
 * numa(7)). A kernel without CONFIG_NUMA has no such file.
 */

import { existsSync } from "node:fs";
import type { Hva } from "../address.js";
import { formatError, procPath, readText } from "./proc-file.js";

/** A policy as mbind(2) takes it. */
export interface NumaPolicy {
  /** Mode with its flags. */
  readonly mode: number;
  /** Node numbers, ascending. */
  readonly nodes: readonly number[];
}

/** include/uapi/linux/mempolicy.h; the names are mpol_to_str's. */
export const numaMode = {
  default: 0,
  prefer: 1,
  bind: 2,
  interleave: 3,
  local: 4,
  "prefer (many)": 5,
  "weighted interleave": 6,
} as const;

const modeFlags: Readonly<Record<string, number>> = {
  static: 1 << 15,
  relative: 1 << 14,
  balancing: 1 << 13,
};

const FILE = "/proc/PID/numa_maps";
/** More than any kernel is built for (MAX_NUMNODES is 1024 at most). */
const MOST_NODES = 1024;
const policyPattern =
  /^(default|prefer \(many\)|prefer|bind|interleave|local|weighted interleave)(?:=([a-z|]+))?(?::([0-9,-]+))?(?: |$)/;

/**
 * @param text the whole of a /proc/PID/numa_maps
 * @param start first address of a mapping
 * @returns its policy; undefined if it has none of its own, or if no mapping starts there
 * @throws LinuxError HM_PROC_FORMAT for what the kernel would not print
 */
export function numaPolicyAt(text: string, start: Hva): NumaPolicy | undefined {
  const key = `${start.toString(16).padStart(8, "0")} `;
  const at = text.startsWith(key) ? 0 : text.indexOf(`\n${key}`) + 1;
  if (at === 0 && !text.startsWith(key)) return undefined;
  const lineEnd = text.indexOf("\n", at);
  const line = text.slice(at + key.length, lineEnd < 0 ? undefined : lineEnd);
  const [matched, name, flags, nodes] = policyPattern.exec(line) ?? [];
  if (matched === undefined || name === undefined || !isModeName(name)) {
    throw formatError(FILE, "a policy that mbind(2) knows", line.slice(0, 80));
  }
  if (name === "default") return undefined;
  const mode = flagNames(flags).reduce<number>((sum, flag) => sum | flagValue(flag), numaMode[name]);
  return { mode, nodes: nodes === undefined ? [] : parseNodes(nodes) };
}

function isModeName(name: string): name is keyof typeof numaMode {
  return Object.hasOwn(numaMode, name);
}

function flagNames(flags: string | undefined): string[] {
  return flags === undefined ? [] : flags.split("|");
}

function flagValue(flag: string): number {
  const value = Object.hasOwn(modeFlags, flag) ? modeFlags[flag] : undefined;
  if (value === undefined) throw formatError(FILE, Object.keys(modeFlags).join(", "), flag);
  return value;
}

/** `0-1,3` (lib/vsprintf.c, %*pbl). */
function parseNodes(list: string): number[] {
  const nodes: number[] = [];
  for (const part of list.split(",")) {
    const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (first === undefined || Number(last) >= MOST_NODES || Number(first) > Number(last)) {
      throw formatError(FILE, "a list of nodes such as 0-1,3", list);
    }
    for (let node = Number(first); node <= Number(last); node++) nodes.push(node);
  }
  return nodes;
}

/**
 * @param pid a process id
 * @param start first address of a mapping
 * @returns its policy, undefined if it has none
 * @throws LinuxError HM_PROC_… as in proc-file.ts
 */
export function readNumaPolicy(pid: number, start: Hva): NumaPolicy | undefined {
  if (!existsSync("/proc/self/numa_maps")) return undefined;
  return numaPolicyAt(readText(procPath(pid, "numa_maps")), start);
}
