/**
 * What is known about the machine Hugemend runs on. Collection only: what it means is decided in judge-host.ts.
 */

import { accessSync, constants, existsSync } from "node:fs";
import type { HugePageChoice } from "../../linux/collapse.js";
import {
  type HugepagePool,
  readAvailableMemory,
  readHardwareCorrupted,
  readHugepagePools,
} from "../../linux/procfs/hugepages.js";
import { type KernelOption, readMemoryFailureOption } from "../../linux/procfs/kernel-config.js";
import { type KernelRelease, readRelease } from "../../linux/procfs/kernel-version.js";
import { readLink, tryReadText } from "../../linux/procfs/proc-file.js";
import { hasCapability, readStatus } from "../../linux/procfs/status.js";

/** The operating system and processor, as Node names them. */
export interface Platform {
  readonly os: string;
  readonly arch: string;
}

/** Facts that only a Linux machine has. */
export interface HostFacts {
  readonly release: KernelRelease;
  readonly memoryFailure: KernelOption;
  /** vm.memory_failure_recovery: 1 recover, 0 panic; undefined when the kernel has no such setting. */
  readonly recoverySysctl: number | undefined;
  /** Bytes taken out of use after earlier errors; undefined without CONFIG_MEMORY_FAILURE. */
  readonly corruptedBytes: number | undefined;
  /** What can be allocated without swapping (MemAvailable), in bytes. */
  readonly availableBytes: number;
  readonly pools: readonly HugepagePool[];
  /** The machine's setting for transparent huge pages; undefined on a kernel without them. */
  readonly hugePages: HugePageChoice | undefined;
  /** This process has CAP_SYS_PTRACE. */
  readonly canPtrace: boolean;
  /** This process has CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE: one of them opens /proc/PID/map_files. */
  readonly canOpenMapFiles: boolean;
  /** kernel.yama.ptrace_scope, undefined without yama. */
  readonly yama: number | undefined;
  /** SELinux boolean deny_ptrace, undefined without SELinux. */
  readonly denyPtrace: boolean | undefined;
  /** Whether this process lives in the machine's first pid and user namespace; false in a container. */
  readonly initialPidNamespace: boolean;
  readonly initialUserNamespace: boolean;
  /** What a trial gave: usable, and with poison markers (Linux 6.6). */
  readonly userfaultfd: {
    readonly available: boolean;
    readonly poison: boolean;
    readonly reason: string | undefined;
  };
  /** Path of the memory failure tracepoint; undefined when tracefs is not mounted or has none. */
  readonly tracepoint: string | undefined;
  readonly tracefsMounted: boolean;
  /** /dev/kmsg may be read: the second way to learn of an error nobody has touched. */
  readonly kernelLog: boolean;
}

const CAP_SYS_PTRACE = 19;
const CAP_SYS_ADMIN = 21;
const CAP_CHECKPOINT_RESTORE = 40;
/** Inode numbers of the first namespaces never change (include/linux/proc_ns.h, PROC_PID_INIT_INO, PROC_USER_INIT_INO). */
const INITIAL_PID = "pid:[4026531836]";
const INITIAL_USER = "user:[4026531837]";
const TRACEFS = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/** The group was renamed from ras to memory_failure in some kernels of 2025 and 2026. */
const TRACEPOINTS = ["events/ras/memory_failure_event", "events/memory_failure/memory_failure_event"];

function numberIn(path: string): number | undefined {
  const text = tryReadText(path);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function findTracepoint(): string | undefined {
  return TRACEFS.flatMap((root) => TRACEPOINTS.map((name) => `${root}/${name}`)).find((path) =>
    existsSync(path),
  );
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Looks at the machine; changes nothing on it.
 *
 * @returns the facts
 * @throws LinuxError HM_PROC_… when /proc or /sys does not read as documented
 */
export async function collectHostFacts(): Promise<HostFacts> {
  // Loaded here, not at the top: it needs the native library, which exists only where doctor has found a fit platform.
  const { probeUserfaultfd } = await import("../../linux/userfaultfd.js");
  const { hugePageChoice } = await import("../../linux/collapse.js");
  const self = readStatus(process.pid);
  const denyPtrace = tryReadText("/sys/fs/selinux/booleans/deny_ptrace");
  return {
    release: readRelease(),
    memoryFailure: readMemoryFailureOption(),
    recoverySysctl: numberIn("/proc/sys/vm/memory_failure_recovery"),
    corruptedBytes: readHardwareCorrupted(),
    availableBytes: readAvailableMemory(),
    pools: readHugepagePools(),
    hugePages: hugePageChoice(),
    canPtrace: hasCapability(self, CAP_SYS_PTRACE),
    canOpenMapFiles: hasCapability(self, CAP_SYS_ADMIN) || hasCapability(self, CAP_CHECKPOINT_RESTORE),
    yama: numberIn("/proc/sys/kernel/yama/ptrace_scope"),
    denyPtrace: denyPtrace === undefined ? undefined : denyPtrace.startsWith("1"),
    initialPidNamespace: readLink("/proc/self/ns/pid") === INITIAL_PID,
    initialUserNamespace: readLink("/proc/self/ns/user") === INITIAL_USER,
    userfaultfd: probeUserfaultfd(),
    tracepoint: findTracepoint(),
    tracefsMounted: TRACEFS.some((root) => existsSync(`${root}/events`)),
    kernelLog: readable("/dev/kmsg"),
  };
}
