import { readFileSync } from "node:fs";
import type { Hva } from "../linux/address.js";
import { salvageSupport } from "../linux/procfs/kernel-version.js";
import { memoryHeadroom } from "../linux/procfs/memory-headroom.js";
import { readSmapsEntry } from "../linux/procfs/smaps.js";
import { wantsLazy } from "../recovery/fill-choice.js";
import { readHazards } from "../recovery/hazards.js";
import type { LargePage } from "../recovery/large-page.js";
import { memoryNeeded, type PlanFacts } from "../recovery/plan.js";
import type { GuardContext } from "./guard-context.js";

/**
 * Looks at the process as it is now.
 *
 * @param mapsText the whole of /proc/PID/maps, just read
 * @throws LinuxError if something cannot be read: then nothing may be replaced
 */
export function gatherFacts(guard: GuardContext, page: LargePage, mapsText: string): PlanFacts {
  const hazards = readHazards(guard.pid, mapsText);
  const ours = new Set([...guard.spares.all.map(({ theirs }) => theirs), ...guard.fills.descriptors]);
  return {
    page,
    salvage: salvageSupport(guard.kernel),
    kernel: guard.kernel.text,
    hazards,
    watched: hazards.userfaultfds.some((fd) => !ours.has(fd)) && isWatched(guard.pid, page.mapping.start),
    fill: guard.policy.fill,
    lazyObstacle: lazyObstacle(guard, page),
    quiesce: guard.policy.quiesce,
    hasQmp: guard.vm !== undefined,
    sharers: guard.sharers.namesFor(page.mapping),
    mappings: mapsText.split("\n").length - 1,
    mappingsLimit: Number(readFileSync("/proc/sys/vm/max_map_count", "latin1")),
    // A replacement that is filled before is written by us, one that is filled after is charged to the VM (mm/userfaultfd.c).
    availableBytes: memoryHeadroom("self", memoryNeeded(page.size)),
    lazyAvailableBytes: wantsLazy(guard.policy.fill, page.size)
      ? memoryHeadroom(guard.pid, memoryNeeded(page.size))
      : 0,
    whenShort: guard.policy.whenShort,
  };
}

function lazyObstacle(guard: GuardContext, page: LargePage): string | undefined {
  if (guard.policy.poisonWith === "hwpoison") return "lost pages are marked by hwpoison";
  const spare = guard.spares.find(page.mapping, page.size, guard.attributesOf(page.mapping));
  return typeof spare === "string" ? spare : undefined;
}

/**
 * VmFlags of a mapping that is registered with a userfaultfd: missing, write-protect, minor (fs/proc/task_mmu.c).
 *
 * @param start where the mapping begins
 * @returns also true if it cannot be known
 */
export function isWatched(pid: number, start: Hva): boolean {
  const flags = readSmapsEntry(pid, start)?.vmFlags;
  return flags === undefined || ["um", "uw", "ui"].some((flag) => flags.has(flag));
}
