/**
 * From facts about one process to findings. Pure: every rule of a virtual machine is in this file and in its test.
 */

import type { HugepagePool } from "../../linux/procfs/hugepages.js";
import { type Finding, fine, formatBytes, formatList, problem } from "./finding.js";
import { unpromised } from "./judge-host.js";
import type { Tracer, VmFacts, VmInsides } from "./vm-facts.js";

function judgeIdentity({ executable, qemu }: VmInsides, { pid, status }: VmFacts): Finding {
  if (qemu) return fine("HM_DOCTOR_QEMU", `Process ${pid} is QEMU (${executable}).`);
  return problem("HM_DOCTOR_QEMU", "blocker", {
    message: `Process ${pid} (${status.name}, ${executable}) is not QEMU.`,
    cost: "Hugemend refuses to attach to it.",
    fix: "Give the pid of a QEMU process: pgrep -a qemu",
  });
}

function judgeKvm({ qemu, descriptors }: VmInsides): Finding[] {
  if (!qemu) return [];
  const cpus = descriptors.filter(({ link }) => /^anon_inode:kvm-vcpu:\d+$/.test(link)).length;
  if (cpus > 0)
    return [fine("HM_DOCTOR_KVM", `It runs ${cpus} virtual ${cpus === 1 ? "CPU" : "CPUs"} with KVM.`)];
  return [
    problem("HM_DOCTOR_KVM", "warning", {
      message: "It has no KVM virtual CPUs (emulation, or still starting).",
      cost: "Recovery works, but QEMU cannot hand a lost page to an emulated guest: touching one ends the virtual machine.",
      fix: "Start QEMU with -accel kvm.",
    }),
  ];
}

/** A guard of our own: `hugemend guard …`, or Node running its command line program. */
function isGuard({ command }: Tracer): boolean {
  const program = command.findIndex((argument) => /(^|\/)hugemend$|\/cli\/main\.js$/.test(argument));
  return program >= 0 && command.slice(program + 1).includes("guard");
}

function judgeTracer({ tracer }: VmFacts): Finding {
  if (tracer === undefined) return fine("HM_DOCTOR_TRACED", "Nobody traces it.");
  if (isGuard(tracer)) {
    return problem("HM_DOCTOR_TRACED", "note", {
      message: `It is guarded already, by process ${tracer.pid}.`,
      cost: "A second guard cannot attach.",
      fix: `Nothing; end process ${tracer.pid} first if another guard shall take over.`,
    });
  }
  const name = tracer.name === "" ? "" : ` (${tracer.name})`;
  return problem("HM_DOCTOR_TRACED", "blocker", {
    message: `It is traced already, by process ${tracer.pid}${name}.`,
    cost: "Linux allows one tracer for each thread: Hugemend cannot attach.",
    fix: "End the debugger, strace or checkpoint tool that traces it.",
  });
}

function judgeRam({ regions }: VmInsides): Finding[] {
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

const FIRST_SIZE = 2 * 1024 * 1024;

function judgePageSizes({ regions }: VmInsides): Finding[] {
  const sizes = new Set(regions.filter(({ shared }) => shared).map(({ pageSize }) => pageSize));
  return [...sizes]
    .filter((size) => size > FIRST_SIZE)
    .map((size) =>
      problem("HM_DOCTOR_PAGE_SIZE", "warning", {
        message: `It uses pages of ${formatBytes(size)}.`,
        cost: `The virtual machine stands still while the good part of ${formatBytes(size)} is copied, about a second for 1 GiB.`,
        fix: "Use pages of 2 MiB where that pause is too long.",
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

function judgeIo({ hazards }: VmInsides): Finding {
  const { transient } = hazards;
  if (transient.length === 0)
    return fine("HM_DOCTOR_DIRECT_IO", "Its disk I/O goes through the page tables.");
  return problem("HM_DOCTOR_DIRECT_IO", "warning", {
    message: `Disk I/O may bypass the page tables: ${formatList(transient)}.`,
    cost: "The virtual machine is paused for some milliseconds at a recovery; without a QMP socket recovery is refused.",
    fix: "Give the guard a QMP socket of its own (--qmp), or use cache=writeback,aio=threads for the disks.",
  });
}

function judgeDevices({ hazards, descriptors }: VmInsides): Finding[] {
  const findings: Finding[] = [];
  if (hazards.pinned.length > 0) {
    findings.push(
      problem("HM_DOCTOR_DMA", "blocker", {
        message: `A host device may hold its memory: ${formatList(hazards.pinned)}.`,
        cost: "The device would keep writing to the old page while the guest reads the new one, so recovery is refused.",
        fix: "Use virtio devices instead of passed-through ones.",
      }),
    );
  }
  const vhost = descriptors
    .filter(({ kind, link }) => kind === "vhost" && !link.startsWith("/dev/vhost-vdpa"))
    .map(({ link }) => link);
  if (vhost.length > 0) {
    findings.push(
      problem("HM_DOCTOR_VHOST", "note", {
        message: `The kernel serves virtio queues (${formatList([...new Set(vhost)])}).`,
        cost: "It works through QEMU's page tables; a packet on its way at the moment of a recovery may be dropped.",
        fix: "Nothing.",
      }),
    );
  }
  return findings;
}

function judgeMappers({ mappers, regions }: VmInsides): Finding[] {
  if (regions.length === 0) return [];
  const others = new Map(mappers.mappers.map(({ pid, comm }) => [pid, `${pid} (${comm})`]));
  if (others.size > 0) {
    return [
      problem("HM_DOCTOR_MAPPERS", "blocker", {
        message: `Other processes map its memory: ${formatList([...others.values()])}.`,
        cost: "They would keep the old page while the guest uses the new one, so recovery is refused.",
        fix: "Use devices inside QEMU instead of vhost-user, virtiofsd or ivshmem.",
      }),
    ];
  }
  if (mappers.unreadable.length > 0) {
    return [
      problem("HM_DOCTOR_MAPPERS", "note", {
        message: `Nobody else was seen to map its memory; some processes may not be looked at: ${formatList(mappers.unreadable.map(String))}.`,
        cost: "If one of them maps it, a recovery would give it and the guest two different pages.",
        fix: "Nothing if these are system processes; otherwise run doctor as root on the host itself.",
      }),
    ];
  }
  return [fine("HM_DOCTOR_MAPPERS", "No other process maps its memory.")];
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

function judgeConfinement({ status }: VmFacts, { samePidNamespace }: VmInsides): Finding[] {
  const findings: Finding[] = [];
  if (status.seccomp === 1) {
    findings.push(
      problem("HM_DOCTOR_SECCOMP", "blocker", {
        message: "It runs in strict seccomp mode.",
        cost: "Any system call made in it would end it.",
        fix: "Run QEMU with -sandbox on instead, which is fine.",
      }),
    );
  } else if (status.seccomp === 2) {
    findings.push(
      problem("HM_DOCTOR_SECCOMP", "note", {
        message: "It runs behind a seccomp filter.",
        cost: "QEMU's own -sandbox lets a recovery through; a stricter filter may refuse its calls, and the error is then left to QEMU.",
        fix: "With a filter of your own, allow memfd_create, userfaultfd, mmap, mremap, munmap, ioctl and close.",
      }),
    );
  }
  if (samePidNamespace === false) {
    findings.push(
      problem("HM_DOCTOR_VM_NAMESPACE", "note", {
        message: "It runs in another pid namespace (a container).",
        cost: "Paths it names, such as its QMP socket, may lie elsewhere on this side.",
        fix: "Give --qmp as the path seen from here.",
      }),
    );
  }
  return findings;
}

/**
 * @param facts as collected
 * @param pools of the machine
 * @returns findings in the order in which they matter
 */
export function judgeVm(facts: VmFacts, pools: readonly HugepagePool[]): Finding[] {
  const { insides } = facts;
  if (insides === undefined) {
    const message = `Process ${facts.pid} (${facts.status.name}) may not be looked at by this user.`;
    const cost = "Hugemend cannot attach to it, and nothing more can be said about it.";
    return [
      judgeTracer(facts),
      problem("HM_DOCTOR_UNREADABLE", "blocker", { message, cost, fix: "Run as root on the host itself." }),
    ];
  }
  return [
    judgeIdentity(insides, facts),
    ...judgeKvm(insides),
    judgeTracer(facts),
    ...judgeRam(insides),
    ...judgeShared(insides),
    ...judgePageSizes(insides),
    ...judgePools(insides, pools),
    judgeIo(insides),
    ...judgeDevices(insides),
    ...judgeMappers(insides),
    ...judgeMemory(insides),
    ...judgeMapCount(insides),
    ...judgeConfinement(facts, insides),
  ];
}
