import type { Hva } from "../linux/address.js";
import { salvageSupport } from "../linux/procfs/kernel-version.js";
import { readSmapsEntry } from "../linux/procfs/smaps.js";
import { readHazards } from "../recovery/hazards.js";
import type { LargePage } from "../recovery/large-page.js";
import { memoryNeeded, type PlanFacts } from "../recovery/plan.js";
import type { GuardContext } from "./guard-context.js";

/**
 * Looks at the process as it is now. What only some plans depend on is looked at when the plan asks for it.
 *
 * @throws LinuxError if something cannot be read: then nothing may be replaced
 */
export function gatherFacts(guard: GuardContext, page: LargePage): PlanFacts {
  const hazards = readHazards(guard.pid);
  const { mappings, limit } = guard.view.mappingCount.beforeRecovery();
  const ours = new Set([...guard.spares.all.map(({ theirs }) => theirs), ...guard.fills.descriptors]);
  return {
    page,
    salvage: salvageSupport(guard.kernel),
    kernel: guard.kernel.text,
    hazards,
    watched: hazards.userfaultfds.some((fd) => !ours.has(fd)) && isWatched(guard.pid, page.mapping.start),
    fill: guard.policy.fill,
    get lazyObstacle(): string | undefined {
      return lazyObstacle(guard, page);
    },
    quiesce: guard.policy.quiesce,
    hasQmp: guard.vm !== undefined,
    sharers: guard.sharers.namesFor(page.mapping),
    mappings,
    mappingsLimit: limit,
    get availableBytes(): number {
      return hasItsMemory(guard, page)
        ? Number.POSITIVE_INFINITY
        : guard.view.ownHeadroom.bytes(memoryNeeded(page.size));
    },
    get lazyAvailableBytes(): number {
      return guard.view.headroom.bytes(memoryNeeded(page.size));
    },
    whenShort: guard.policy.whenShort,
  };
}

function lazyObstacle(guard: GuardContext, page: LargePage): string | undefined {
  if (guard.policy.poisonWith === "hwpoison") return "lost pages are marked by hwpoison";
  const spare = guard.spares.find(page.mapping, page.size, guard.attributesOf(page.mapping));
  return typeof spare === "string" ? spare : undefined;
}

/** Whether a spare is ready that has its memory already. */
function hasItsMemory(guard: GuardContext, page: LargePage): boolean {
  const spare = guard.populated.find(page.mapping, page.size, guard.attributesOf(page.mapping));
  return typeof spare !== "string" && spare.ready;
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
