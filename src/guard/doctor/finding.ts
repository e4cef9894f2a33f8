/** What `hugemend doctor` says: one finding for each thing it looked at. */

import type { SalvageSupport } from "../../linux/procfs/kernel-version.js";

/**
 * - `ok`: as it should be
 * - `note`: protection works; something is worth knowing
 * - `warning`: protection works with a loss that the finding names
 * - `blocker`: memory errors cannot be recovered until this is changed
 */
export type Severity = "ok" | "note" | "warning" | "blocker";

/** Every code that doctor can report. Scripts match on them: they never change their meaning. */
export type FindingCode =
  | "HM_DOCTOR_PLATFORM"
  | "HM_DOCTOR_KERNEL"
  | "HM_DOCTOR_MEMORY_FAILURE"
  | "HM_DOCTOR_RECOVERY_SYSCTL"
  | "HM_DOCTOR_CORRUPTED"
  | "HM_DOCTOR_POOL"
  | "HM_DOCTOR_MEMORY"
  | "HM_DOCTOR_THP"
  | "HM_DOCTOR_PTRACE"
  | "HM_DOCTOR_MAP_FILES"
  | "HM_DOCTOR_NAMESPACE"
  | "HM_DOCTOR_USERFAULTFD"
  | "HM_DOCTOR_TRACEPOINT"
  | "HM_DOCTOR_SELF_TEST"
  | "HM_DOCTOR_QEMU"
  | "HM_DOCTOR_KVM"
  | "HM_DOCTOR_RESET"
  | "HM_DOCTOR_TRACED"
  | "HM_DOCTOR_UNREADABLE"
  | "HM_DOCTOR_RAM"
  | "HM_DOCTOR_PRIVATE_RAM"
  | "HM_DOCTOR_PAGE_SIZE"
  | "HM_DOCTOR_DIRECT_IO"
  | "HM_DOCTOR_DMA"
  | "HM_DOCTOR_VHOST"
  | "HM_DOCTOR_MAPPERS"
  | "HM_DOCTOR_LOCKED"
  | "HM_DOCTOR_MAP_COUNT"
  | "HM_DOCTOR_USERFAULTFD_IN_USE"
  | "HM_DOCTOR_SECCOMP"
  | "HM_DOCTOR_VM_NAMESPACE";

/** One finding. `cost` and `fix` are there unless the severity is `ok`. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  /** What was found, one sentence. */
  readonly message: string;
  /** What it costs, one sentence. */
  readonly cost?: string;
  /** What to do about it, one sentence. */
  readonly fix?: string;
}

/** What the self-test saw, in words of the kernel table (linux/procfs/kernel-version.ts). */
export interface SelfTestSummary {
  readonly verdict: SalvageSupport | "unsupported";
  /** What the version says. */
  readonly table: SalvageSupport;
  /** Whether that is what was seen; null when nothing was. */
  readonly agrees: boolean | null;
}

/** The whole answer. */
export interface Diagnosis {
  /** No blocker among the findings. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** Where a self-test was asked for. */
  readonly selfTest?: SelfTestSummary;
}

/** @returns a finding that asks for nothing */
export function fine(code: FindingCode, message: string): Finding {
  return { code, severity: "ok", message };
}

/** @returns a finding with its cost and its remedy */
export function problem(
  code: FindingCode,
  severity: Exclude<Severity, "ok">,
  text: { readonly message: string; readonly cost: string; readonly fix: string },
): Finding {
  return { code, severity, ...text };
}

/** @param findings everything that was found @returns the answer: protectable unless one of them is a blocker */
export function diagnose(findings: readonly Finding[]): Diagnosis {
  return { ok: findings.every(({ severity }) => severity !== "blocker"), findings };
}

/** Bytes as people write page sizes: `2 MiB`, `1 GiB`, `512 MiB`, `3.5 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/** @param items names @param limit how many are named @returns `a, b, c and 4 more` */
export function formatList(items: readonly string[], limit = 4): string {
  const shown = items.slice(0, limit).join(", ");
  return items.length > limit ? `${shown} and ${items.length - limit} more` : shown;
}
