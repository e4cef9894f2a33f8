/**
 * From facts about one process to findings. Pure. Its memory has a file of its own (judge-ram.ts), and
 * so has what else uses that memory (judge-sharing.ts).
 */

import type { HugepagePool } from "../../linux/procfs/hugepages.js";
import { exitsAtReset, lossRoute } from "../../qemu/qemu-release.js";
import { type Finding, fine, problem } from "./finding.js";
import { judgeRam } from "./judge-ram.js";
import { judgeSharing } from "./judge-sharing.js";
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

function judgeReset({ release }: VmInsides): Finding[] {
  if (release === undefined) return [];
  const name = `QEMU ${release.major}.${release.minor}`;
  if (!exitsAtReset(release))
    return [fine("HM_DOCTOR_RESET", `It is ${name}, which lives through a guest reset after an error.`)];
  const message = `It is ${name}, which ends at a guest reset once it knows of a lost page.`;
  if (lossRoute(release) === "monitor") {
    return [
      problem("HM_DOCTOR_RESET", "note", {
        message,
        cost: "With --qmp the guard keeps it from knowing; without, or after an error that is refused, a reboot of the guest ends it.",
        fix: "Give the guard --qmp, or run QEMU 10.0 or later.",
      }),
    ];
  }
  return [
    problem("HM_DOCTOR_RESET", "warning", {
      message,
      cost: "A reboot of the guest after an error ends it, as without Hugemend.",
      fix: "Run QEMU 10.0 or later; until then shut such a guest down and start it anew instead of rebooting it.",
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
        fix: "With a filter of your own, allow close, getpid, ioctl, madvise, mbind, memfd_create, mlock2, mmap, mremap, munlock, munmap, ppoll, prctl, pread64, recvmsg, rt_sigaction, rt_sigreturn, socketpair and userfaultfd.",
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
    ...judgeReset(insides),
    judgeTracer(facts),
    ...judgeRam(insides, pools),
    ...judgeSharing(insides),
    ...judgeConfinement(facts, insides),
  ];
}
