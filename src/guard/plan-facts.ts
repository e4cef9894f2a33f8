import { readFileSync } from "node:fs";
import { salvageSupport } from "../linux/procfs/kernel-version.js";
import type { Mapping } from "../linux/procfs/maps.js";
import { readHazards } from "../recovery/hazards.js";
import type { LargePage } from "../recovery/large-page.js";
import type { PlanFacts } from "../recovery/plan.js";
import type { GuardContext } from "./guard-context.js";

/**
 * Looks at the process as it is now.
 *
 * @param mappings all of the process, just read
 * @throws LinuxError if something cannot be read: then nothing may be replaced
 */
export function gatherFacts(guard: GuardContext, page: LargePage, mappings: readonly Mapping[]): PlanFacts {
  return {
    page,
    salvage: salvageSupport(guard.kernel),
    kernel: guard.kernel.text,
    hazards: readHazards(guard.pid, mappings),
    quiesce: guard.policy.quiesce,
    hasQmp: guard.vm !== undefined,
    sharers: guard.sharers.names,
    mappings: mappings.length,
    mappingsLimit: Number(readFileSync("/proc/sys/vm/max_map_count", "latin1")),
    availableBytes: availableMemory(),
  };
}

/** Documentation/filesystems/proc.rst: what can be allocated without swapping. 0 if the kernel does not say. */
function availableMemory(): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}
