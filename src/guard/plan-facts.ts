import { readFileSync } from "node:fs";
import { salvageSupport } from "../linux/procfs/kernel-version.js";
import { readSmapsEntry } from "../linux/procfs/smaps.js";
import { readHazards } from "../recovery/hazards.js";
import type { LargePage } from "../recovery/large-page.js";
import type { PlanFacts } from "../recovery/plan.js";
import type { GuardContext } from "./guard-context.js";

/**
 * Looks at the process as it is now.
 *
 * @param mapsText the whole of /proc/PID/maps, just read
 * @throws LinuxError if something cannot be read: then nothing may be replaced
 */
export function gatherFacts(guard: GuardContext, page: LargePage, mapsText: string): PlanFacts {
  const hazards = readHazards(guard.pid, mapsText);
  return {
    page,
    salvage: salvageSupport(guard.kernel),
    kernel: guard.kernel.text,
    hazards,
    watched: hazards.userfaultfd && isWatched(guard.pid, page),
    quiesce: guard.policy.quiesce,
    hasQmp: guard.vm !== undefined,
    sharers: guard.sharers.namesFor(page.mapping),
    mappings: mapsText.split("\n").length - 1,
    mappingsLimit: Number(readFileSync("/proc/sys/vm/max_map_count", "latin1")),
    availableBytes: availableMemory(),
  };
}

/** Documentation/filesystems/proc.rst: what can be allocated without swapping. 0 if the kernel does not say. */
function availableMemory(): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** VmFlags of a mapping that is registered with a userfaultfd: missing, write-protect, minor (fs/proc/task_mmu.c). */
function isWatched(pid: number, page: LargePage): boolean {
  const flags = readSmapsEntry(pid, page.mapping.start)?.vmFlags;
  return flags === undefined || ["um", "uw", "ui"].some((flag) => flags.has(flag));
}
