/** From facts about a VM's memory to findings: what backs it, and what stands in the way of replacing it. Pure. */

import type { HugepagePool } from "../../linux/procfs/hugepages.js";
import { type Finding, fine, formatBytes, problem } from "./finding.js";
import { unpromised } from "./judge-host.js";
import type { VmInsides } from "./vm-facts.js";

function judgeRegions({ regions }: VmInsides): Finding[] {
  if (regions.length === 0) {
    return [
      problem("HM_DOCTOR_RAM", "blocker", {
        message: "It maps no large pages (hugetlbfs).",
        cost: "There is nothing to protect: on ordinary pages an error loses 4 KiB anyway.",
        fix: "Nothing, or give the virtual machine a memory backend with hugetlb=on,share=on.",
      }),
    ];
  }
  return regions.flatMap((region): Finding[] => {
    const where = `${formatBytes(region.size)} at 0x${region.start.toString(16)} (${region.path})`;
    const pages = `${formatBytes(region.pageSize)} pages`;
    if (region.shared) return [fine("HM_DOCTOR_RAM", `${where}: ${pages}, shared.`)];
    return [
      problem("HM_DOCTOR_PRIVATE_RAM", "warning", {
        message: `${where}: ${pages}, mapped privately.`,
        cost: `The file does not hold what the guest has written: an error there loses the whole ${formatBytes(region.pageSize)}, as without Hugemend.`,
        fix: "Start QEMU with share=on on its memory backend (-mem-path maps privately).",
      }),
    ];
  });
}

function judgeShared({ regions }: VmInsides): Finding[] {
  if (regions.length === 0 || regions.some(({ shared }) => shared)) return [];
  return [
    problem("HM_DOCTOR_RAM", "blocker", {
      message: "None of its large pages are mapped shared.",
      cost: "No byte of any of them can be saved.",
      fix: "Start QEMU with -object memory-backend-memfd,hugetlb=on,share=on or memory-backend-file,…,share=on.",
    }),
  ];
}

const FIRST_SIZE = 2 * 1024 * 1024;

function judgePageSizes({ regions }: VmInsides): Finding[] {
  const sizes = new Set(regions.filter(({ shared }) => shared).map(({ pageSize }) => pageSize));
  return [...sizes]
    .filter((size) => size > FIRST_SIZE)
    .map((size) =>
      problem("HM_DOCTOR_PAGE_SIZE", "warning", {
        message: `It uses pages of ${formatBytes(size)}.`,
        cost: `The replacement of ${formatBytes(size)} is filled while the virtual machine runs, and depends on the guard until then, about a second for 1 GiB; where that cannot be done (see the ledger's fillWhy) a thread stands still for so long.`,
        fix: "Use pages of 2 MiB where that is too much.",
      }),
    );
}

function judgePools({ regions }: VmInsides, pools: readonly HugepagePool[]): Finding[] {
  const sizes = new Set(regions.filter(({ shared }) => shared).map(({ pageSize }) => pageSize));
  return [...sizes].flatMap((size) => {
    const pool = pools.find(({ pageSize }) => pageSize === size);
    // A pool with pages has its finding among those of the host; one whose pages are all surplus or gone has not.
    if (pool === undefined || pool.total > 0 || unpromised(pool) > 0) return [];
    return [
      problem("HM_DOCTOR_POOL", "warning", {
        message: `The pool of ${formatBytes(size)} pages is empty.`,
        cost: "After an error the large page cannot be put back when the guest restarts.",
        fix: `Add a page to /sys/kernel/mm/hugepages/hugepages-${size / 1024}kB/nr_hugepages.`,
      }),
    ];
  });
}

function judgeMemory({ locked, regions }: VmInsides): Finding[] {
  const findings: Finding[] = [];
  if (locked) {
    findings.push(
      problem("HM_DOCTOR_LOCKED", "note", {
        message: "Its memory is locked (mem-lock=on).",
        cost: "New memory is populated at once, so every recovery copies before the guest goes on (fill is eager).",
        fix: "Nothing; drop -overcommit mem-lock=on if the pause for 1 GiB pages is too long.",
      }),
    );
  }
  if (regions.some(({ watched }) => watched)) {
    findings.push(
      problem("HM_DOCTOR_USERFAULTFD_IN_USE", "warning", {
        message: "Another userfaultfd watches its memory (postcopy migration or a background snapshot).",
        cost: "An error in such memory is left to QEMU until that is over.",
        fix: "Wait until the migration or snapshot has ended.",
      }),
    );
  }
  return findings;
}

/** One swap splits a mapping in three; this many leave room for some hundred lost pages. */
const LOW_MAPPINGS = 256;

function judgeMapCount({ mappings, mappingsLimit }: VmInsides): Finding[] {
  if (mappings + LOW_MAPPINGS <= mappingsLimit) return [];
  return [
    problem("HM_DOCTOR_MAP_COUNT", "warning", {
      message: `It has ${mappings} mappings of at most ${mappingsLimit}.`,
      cost: "Each recovery adds two; at the limit recovery is refused.",
      fix: `sysctl -w vm.max_map_count=${mappingsLimit * 2}`,
    }),
  ];
}

/**
 * @param insides of the process
 * @param pools of the machine
 * @returns findings in the order in which they matter
 */
export function judgeRam(insides: VmInsides, pools: readonly HugepagePool[]): Finding[] {
  return [
    ...judgeRegions(insides),
    ...judgeShared(insides),
    ...judgePageSizes(insides),
    ...judgePools(insides, pools),
    ...judgeMemory(insides),
    ...judgeMapCount(insides),
  ];
}
