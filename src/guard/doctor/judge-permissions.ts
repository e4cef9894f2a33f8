/** From facts about what this process may do to findings. Pure. */

import { type Finding, fine, problem } from "./finding.js";
import type { HostFacts } from "./host-facts.js";

function judgePtrace(facts: HostFacts): Finding {
  const code = "HM_DOCTOR_PTRACE";
  const cost = "Hugemend cannot attach to QEMU.";
  if (facts.yama === 3) {
    const fix =
      "Set kernel.yama.ptrace_scope to 2 or less in /etc/sysctl.d and reboot: 3 cannot be undone at run time.";
    return problem(code, "blocker", {
      message: "kernel.yama.ptrace_scope is 3: no process may trace.",
      cost,
      fix,
    });
  }
  if (facts.denyPtrace === true) {
    const message = "The SELinux boolean deny_ptrace is on: no process may trace.";
    return problem(code, "blocker", { message, cost, fix: "setsebool deny_ptrace off" });
  }
  if (!facts.canPtrace) {
    const message = "This process may not trace others: it has no CAP_SYS_PTRACE.";
    return problem(code, "blocker", {
      message,
      cost,
      fix: "Run as root, or give the process CAP_SYS_PTRACE.",
    });
  }
  return fine(code, "This process may trace others.");
}

function judgeMapFiles({ canOpenMapFiles, initialUserNamespace }: HostFacts): Finding {
  // proc_map_files_get_link() asks for the capability in the first user namespace, not in a container's own.
  if (canOpenMapFiles && initialUserNamespace)
    return fine("HM_DOCTOR_MAP_FILES", "This process may open mapped files.");
  return problem("HM_DOCTOR_MAP_FILES", "blocker", {
    message: initialUserNamespace
      ? "This process has neither CAP_SYS_ADMIN nor CAP_CHECKPOINT_RESTORE."
      : "This process lives in a user namespace of its own, where no capability opens mapped files.",
    cost: "Hugemend cannot open the file behind the virtual machine's memory, so nothing can be saved.",
    fix: initialUserNamespace
      ? "Run as root, or give the process CAP_CHECKPOINT_RESTORE."
      : "Run on the host itself, or in a container without a user namespace.",
  });
}

function judgeNamespace({ initialPidNamespace }: HostFacts): Finding[] {
  if (initialPidNamespace) return [];
  return [
    problem("HM_DOCTOR_NAMESPACE", "warning", {
      message: "This process lives in a pid namespace of its own (a container).",
      cost: "Virtual machines, tracers and other mappers outside of it cannot be seen.",
      fix: "Run on the host, or start the container with the host's pid namespace (--pid=host).",
    }),
  ];
}

function judgeUserfaultfd({ userfaultfd }: HostFacts): Finding {
  const code = "HM_DOCTOR_USERFAULTFD";
  const cost = "Lost pages cannot be marked, so no page can be replaced safely.";
  const reason = userfaultfd.reason === undefined ? "" : ` (${userfaultfd.reason})`;
  if (!userfaultfd.available) {
    const fix =
      "Boot a kernel with CONFIG_USERFAULTFD=y; in a container, allow userfaultfd in its seccomp profile.";
    return problem(code, "blocker", { message: `userfaultfd cannot be used${reason}.`, cost, fix });
  }
  if (!userfaultfd.poison) {
    const message = `userfaultfd works, but this kernel knows no poison markers${reason}.`;
    return problem(code, "blocker", { message, cost, fix: "Boot Linux 6.6, or 6.8 or later." });
  }
  return fine(code, "userfaultfd works, with poison markers.");
}

/** @param facts as collected @returns findings in the order in which they matter */
export function judgePermissions(facts: HostFacts): Finding[] {
  return [judgePtrace(facts), judgeMapFiles(facts), ...judgeNamespace(facts), judgeUserfaultfd(facts)];
}
