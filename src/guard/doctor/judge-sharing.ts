/** From facts about who else uses a VM's memory to findings: disk I/O, devices, other processes. Pure. */

import { type Finding, fine, formatList, problem } from "./finding.js";
import type { VmInsides } from "./vm-facts.js";

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

/** @param insides of the process @returns findings in the order in which they matter */
export function judgeSharing(insides: VmInsides): Finding[] {
  return [judgeIo(insides), ...judgeDevices(insides), ...judgeMappers(insides)];
}
