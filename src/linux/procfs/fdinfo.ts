/**
 * Open descriptors of a process: /proc/PID/fd (where each points) and /proc/PID/fdinfo (with which flags;
 * fs/proc/fd.c, seq_show()). This is how Hugemend learns of disk I/O that bypasses the page tables.
 */

import { errno } from "../errno.js";
import { readLinks, readSmallFile } from "../small-file.js";
import { SystemCallError } from "../system-call.js";
import { formatError, procPath, readError } from "./proc-file.js";

/** What stands behind a descriptor, as far as it matters to a recovery. */
export type DescriptorKind =
  | "file"
  | "socket"
  | "pipe"
  | "kvm"
  | "kvm-vm"
  | "kvm-vcpu"
  | "io_uring"
  | "eventfd"
  | "eventpoll"
  | "signalfd"
  | "timerfd"
  | "userfaultfd"
  | "vfio"
  | "iommufd"
  | "vhost"
  | "memfd"
  | "anon";

/** One open descriptor. */
export interface Descriptor {
  readonly fd: number;
  /** Where /proc/PID/fd/N points. */
  readonly link: string;
  readonly kind: DescriptorKind;
  /** Open flags (O_…), as numbered on the machine that is running. */
  readonly flags: number;
  /** O_DIRECT is set: the device may write into the process's memory behind the page tables. */
  readonly direct: boolean;
}

/** The common head of every fdinfo file. */
export interface DescriptorInfo {
  readonly pos: bigint;
  readonly flags: number;
}

/** O_DIRECT differs: arch/arm64/include/uapi/asm/fcntl.h, otherwise include/uapi/asm-generic/fcntl.h. */
const O_DIRECT: Readonly<Record<string, number>> = { x64: 0o40000, arm64: 0o200000 };

/** @param flags O_… bits @param arch as in process.arch @returns whether O_DIRECT is among them */
export function isDirect(flags: number, arch: string = process.arch): boolean {
  return (flags & (O_DIRECT[arch] ?? 0o40000)) !== 0;
}

/** The first two lines, since Linux 2.6.22. */
const HEAD = /^pos:\t(-?\d{1,19})\nflags:\t([0-7]{1,12})$/m;

/**
 * @param text the whole of an fdinfo file
 * @returns position and flags; lines of special descriptors are not looked at
 * @throws LinuxError HM_PROC_FORMAT
 */
export function parseFdinfo(text: string): DescriptorInfo {
  const [, pos, flags] = HEAD.exec(text) ?? [];
  if (pos === undefined || flags === undefined)
    throw formatError("/proc/PID/fdinfo/N", "pos: N and flags: OCTAL", text);
  return { pos: BigInt(pos), flags: Number.parseInt(flags, 8) };
}

const ANONYMOUS: Readonly<Record<string, DescriptorKind>> = {
  "kvm-vm": "kvm-vm",
  "[io_uring]": "io_uring",
  "[eventfd]": "eventfd",
  "[eventpoll]": "eventpoll",
  "[signalfd]": "signalfd",
  "[timerfd]": "timerfd",
  "[userfaultfd]": "userfaultfd",
};

/** @param link where /proc/PID/fd/N points @returns its kind; `file` for every ordinary path */
export function descriptorKind(link: string): DescriptorKind {
  if (link.startsWith("anon_inode:")) {
    const name = link.slice("anon_inode:".length);
    if (name.startsWith("kvm-vcpu")) return "kvm-vcpu";
    if (name.startsWith("[vfio") || name.startsWith("vfio")) return "vfio";
    return ANONYMOUS[name] ?? "anon";
  }
  if (link.startsWith("socket:[")) return "socket";
  if (link.startsWith("pipe:[")) return "pipe";
  if (link.startsWith("/memfd:")) return "memfd";
  if (link === "/dev/kvm") return "kvm";
  if (link.startsWith("/dev/vfio/")) return "vfio";
  if (link === "/dev/iommu") return "iommufd";
  if (link.startsWith("/dev/vhost-")) return "vhost";
  return "file";
}

/**
 * @param pid a process id
 * @param wantsFlags for which kinds the flags are read; for the others they are given as 0, which saves most of the time
 * @returns its descriptors, ascending; those closed while this runs are left out
 * @throws LinuxError HM_PROC_GONE when the process has ended, HM_PROC_DENIED, HM_PROC_FORMAT
 */
export function readDescriptors(
  pid: number,
  wantsFlags: (kind: DescriptorKind) => boolean = () => true,
): Descriptor[] {
  const found: Descriptor[] = [];
  for (const { fd, link } of readNumberedLinks(procPath(pid, "fd"))) {
    const kind = descriptorKind(link);
    const flags = wantsFlags(kind) ? flagsOf(procPath(pid, `fdinfo/${fd}`)) : 0;
    if (flags !== undefined) found.push({ fd, link, kind, flags, direct: isDirect(flags) });
  }
  return found.sort((left, right) => left.fd - right.fd);
}

function readNumberedLinks(folder: string): { fd: number; link: string }[] {
  try {
    return readLinks(folder).map(({ name, target }) => ({ fd: Number(name), link: target }));
  } catch (error) {
    throw readError(folder, error);
  }
}

/** @returns undefined if it was closed meanwhile */
function flagsOf(path: string): number | undefined {
  try {
    return parseFdinfo(readSmallFile(path)).flags;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (error.errno === errno.ENOENT) return undefined;
    throw readError(path, error);
  }
}
