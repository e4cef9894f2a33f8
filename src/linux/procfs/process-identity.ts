/**
 * What a process is, by evidence that does not depend on its name alone.
 */

import { basename } from "node:path";
import { LinuxError } from "../linux-error.js";
import { type DescriptorKind, descriptorKind } from "./fdinfo.js";
import { decimalNames, errnoOf, listDirectory, procPath, readLink } from "./proc-file.js";

/** @param pid a process id @returns path of its executable, as it was when started; a deleted one without that suffix */
export function readExecutable(pid: number): string {
  return readLink(procPath(pid, "exe")).replace(/ \(deleted\)$/, "");
}

/** @param executable path @returns whether a QEMU system emulator is named like this */
export function isQemuName(executable: string): boolean {
  const name = basename(executable);
  return name.startsWith("qemu-system-") || name === "qemu-kvm" || name === "kvm";
}

/**
 * QEMU is a process whose executable is named `qemu-system-…`, `qemu-kvm` or `kvm`, or which owns a KVM virtual
 * machine (a renamed build).
 *
 * @param pid a process id
 * @throws LinuxError HM_PROC_GONE when there is no such process, HM_PROC_DENIED, HM_BAD_PID
 */
export function isQemu(pid: number): boolean {
  return isQemuName(executableOrEmpty(pid)) || ownsKvmVm(pid);
}

/** A kernel thread has no executable, which must not read as "no such process"; the descriptors then decide that. */
function executableOrEmpty(pid: number): string {
  try {
    return readExecutable(pid);
  } catch (error) {
    if (error instanceof LinuxError && errnoOf(error) === "HM_PROC_GONE") return "";
    throw error;
  }
}

/** @returns whether the process has an open `anon_inode:kvm-vm` @throws LinuxError as {@link isQemu} */
export function ownsKvmVm(pid: number): boolean {
  return decimalNames(listDirectory(procPath(pid, "fd")), 0).some((fd) => linkKind(pid, fd) === "kvm-vm");
}

/** A descriptor closed meanwhile is nobody's virtual machine. */
function linkKind(pid: number, fd: number): DescriptorKind | undefined {
  try {
    return descriptorKind(readLink(procPath(pid, `fd/${fd}`)));
  } catch (error) {
    if (error instanceof LinuxError && errnoOf(error) === "HM_PROC_GONE") return undefined;
    throw error;
  }
}

/**
 * @param pid a process id
 * @param kind of namespace: `pid`, `user`, `mnt`
 * @returns whether it lives in the same namespace as this process; undefined when that may not be read
 */
export function sharesNamespace(pid: number, kind: "pid" | "user" | "mnt"): boolean | undefined {
  try {
    return readLink(procPath(pid, `ns/${kind}`)) === readLink(`/proc/self/ns/${kind}`);
  } catch (error) {
    if (error instanceof LinuxError && errnoOf(error) === "HM_PROC_DENIED") return undefined;
    throw error;
  }
}
