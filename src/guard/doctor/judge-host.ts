/**
 * From facts about the machine to findings. Pure. What this process may do there is judged
 * in judge-permissions.ts.
 */

import type { HugepagePool } from "../../linux/procfs/hugepages.js";
import { type SalvageSupport, salvageSupport } from "../../linux/procfs/kernel-version.js";
import { type Finding, fine, formatBytes, problem } from "./finding.js";
import type { HostFacts, Platform } from "./host-facts.js";
import { judgePermissions } from "./judge-permissions.js";

/** @param platform as Node names it @returns whether Hugemend runs there */
export function judgePlatform({ os, arch }: Platform): Finding {
  const code = "HM_DOCTOR_PLATFORM";
  const cost = "Nothing can be protected from here.";
  if (os !== "linux") {
    const message = `This system is ${os}; Hugemend works on Linux only.`;
    return problem(code, "blocker", { message, cost, fix: "Run it on the Linux machine that runs QEMU." });
  }
  if (arch === "x64") return fine(code, "Linux on x86-64.");
  const message =
    arch === "arm64"
      ? "This is arm64, which is prepared but not yet supported."
      : `The processor is ${arch}; Hugemend knows x86-64 only.`;
  return problem(code, "blocker", { message, cost, fix: "Use an x86-64 host for now." });
}

const SALVAGE: Readonly<Record<Exclude<SalvageSupport, "ok">, string>> = {
  drops: "drops a poisoned large page from its file, so that later reads give zeros",
  "all-eio": "reports an I/O error for every byte of a poisoned large page",
  broken: "tests the wrong flag and may read into the poison",
};

function judgeKernel({ release }: HostFacts): Finding {
  const support = salvageSupport(release);
  if (support === "ok") {
    return fine("HM_DOCTOR_KERNEL", `Linux ${release.text} reads the good part of a poisoned large page.`);
  }
  return problem("HM_DOCTOR_KERNEL", "blocker", {
    message: `Linux ${release.text} ${SALVAGE[support]}.`,
    cost: "Nothing of a large page can be saved: an error loses all of it, as without Hugemend.",
    fix: "Boot Linux 6.6, or 6.8 or later.",
  });
}

function judgeMemoryFailure({ memoryFailure }: HostFacts): Finding {
  const code = "HM_DOCTOR_MEMORY_FAILURE";
  if (memoryFailure.enabled === true)
    return fine(code, `The kernel handles memory errors (${memoryFailure.source}).`);
  if (memoryFailure.enabled === undefined) {
    return problem(code, "warning", {
      message: `It cannot be seen whether the kernel handles memory errors: ${memoryFailure.source}.`,
      cost: "Without CONFIG_MEMORY_FAILURE no error is ever reported to QEMU or to Hugemend.",
      fix: "Make /proc/config.gz, /boot/config-RELEASE or /proc/sys readable.",
    });
  }
  return problem(code, "blocker", {
    message: `The kernel was built without CONFIG_MEMORY_FAILURE (${memoryFailure.source}).`,
    cost: "An uncorrectable memory error brings down the whole machine.",
    fix: "Boot a kernel with CONFIG_MEMORY_FAILURE=y, as distributions ship it.",
  });
}

function judgeRecoverySysctl({ recoverySysctl }: HostFacts): Finding[] {
  // Without the setting there is no memory failure handling either, which has its own finding.
  if (recoverySysctl === undefined) return [];
  if (recoverySysctl !== 0) return [fine("HM_DOCTOR_RECOVERY_SYSCTL", "vm.memory_failure_recovery is on.")];
  return [
    problem("HM_DOCTOR_RECOVERY_SYSCTL", "blocker", {
      message: "vm.memory_failure_recovery is 0.",
      cost: "The kernel panics at the first memory error instead of recovering.",
      fix: "sysctl -w vm.memory_failure_recovery=1",
    }),
  ];
}

function judgeCorrupted({ corruptedBytes }: HostFacts): Finding[] {
  if (corruptedBytes === undefined || corruptedBytes === 0) return [];
  return [
    problem("HM_DOCTOR_CORRUPTED", "note", {
      message: `The kernel has taken ${formatBytes(corruptedBytes)} out of use after memory errors (HardwareCorrupted).`,
      cost: "This machine's memory has failed before and is likely to fail again.",
      fix: "Look at the system event log for the module and replace it.",
    }),
  ];
}

/** @param pool one pool @returns pages that nobody has been promised */
export function unpromised(pool: Pick<HugepagePool, "free" | "reserved">): number {
  return Math.max(pool.free - pool.reserved, 0);
}

function judgePools({ pools }: HostFacts): Finding[] {
  const used = pools.filter(({ total }) => total > 0);
  if (used.length === 0) {
    return [
      problem("HM_DOCTOR_POOL", "note", {
        message: "No large pages are set aside on this machine.",
        cost: "A virtual machine on ordinary pages loses only 4 KiB to an error and does not need Hugemend.",
        fix: "Nothing, unless virtual machines shall use large pages: then set vm.nr_hugepages.",
      }),
    ];
  }
  return used.map((pool) => {
    const size = formatBytes(pool.pageSize);
    const counts = `${pool.total} pages of ${size}, ${pool.free} free, ${pool.reserved} of these reserved`;
    if (unpromised(pool) > 0) return fine("HM_DOCTOR_POOL", `${counts}.`);
    return problem("HM_DOCTOR_POOL", "warning", {
      message: `${counts}: no spare page.`,
      cost: `After an error the ${size} page cannot be put back when the guest restarts; small pages stay in its place.`,
      fix: `Add a page to /sys/kernel/mm/hugepages/hugepages-${pool.pageSize / 1024}kB/nr_hugepages.`,
    });
  });
}

/** What a recovery leaves to the rest of the machine (recovery/plan.ts). */
const SPARE_BYTES = 64 * 1024 * 1024;

function judgeMemory({ availableBytes, pools }: HostFacts): Finding[] {
  const largest = Math.max(...pools.filter(({ total }) => total > 0).map(({ pageSize }) => pageSize), 0);
  if (largest === 0 || availableBytes >= largest + SPARE_BYTES) return [];
  return [
    problem("HM_DOCTOR_MEMORY", "warning", {
      message: `Only ${formatBytes(availableBytes)} of ordinary memory are available.`,
      cost: `The replacement of a ${formatBytes(largest)} page needs as much ordinary memory and ${formatBytes(SPARE_BYTES)} beside it; with less, recovery is refused.`,
      fix: "Free memory on the host, or set fewer large pages aside.",
    }),
  ];
}

/** Only `never` keeps the guard from joining (guard/lazy/range-joins.ts): MADV_COLLAPSE itself asks for no setting (madvise(2)). */
function judgeHugePages({ hugePages }: HostFacts): Finding {
  const code = "HM_DOCTOR_THP";
  const says =
    hugePages === undefined
      ? "This kernel has no transparent huge pages"
      : `transparent_hugepage/enabled is ${hugePages}`;
  if (hugePages !== undefined && hugePages !== "never") {
    return fine(code, `${says}: a replacement filled while in use gets pages of 2 MiB again.`);
  }
  return problem(code, "note", {
    message: `${says}: a replacement filled while in use keeps pages of 4 KiB.`,
    cost: "The guest is a little slower in that memory until it is reset.",
    fix:
      hugePages === undefined
        ? "Boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE=y."
        : "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, if there is no reason against it.",
  });
}

function judgeTracepoint({ tracepoint, tracefsMounted, kernelLog }: HostFacts): Finding {
  const code = "HM_DOCTOR_TRACEPOINT";
  if (tracepoint !== undefined) return fine(code, `Memory errors are announced by ${tracepoint}.`);
  const message = tracefsMounted
    ? "This kernel has no tracepoint for memory errors."
    : "tracefs is not mounted, or may not be read.";
  const fix = tracefsMounted
    ? "Boot a kernel with CONFIG_MEMORY_FAILURE=y and CONFIG_TRACING=y."
    : "mount -t tracefs tracefs /sys/kernel/tracing";
  if (kernelLog) {
    const cost =
      "The guard reads of errors in the kernel log instead; what does not get there is noticed when the page is touched.";
    return problem(code, "note", { message, cost, fix });
  }
  const cost =
    "An error is noticed only when the virtual machine touches the page, for /dev/kmsg may not be read either.";
  return problem(code, "warning", { message, cost, fix });
}

/** @param facts as collected @returns findings in the order in which they matter */
export function judgeHost(facts: HostFacts): Finding[] {
  return [
    judgeKernel(facts),
    judgeMemoryFailure(facts),
    ...judgeRecoverySysctl(facts),
    ...judgeCorrupted(facts),
    ...judgePools(facts),
    ...judgeMemory(facts),
    judgeHugePages(facts),
    ...judgePermissions(facts),
    judgeTracepoint(facts),
  ];
}
