/** Descriptors that a guard which died in the middle of a recovery has left open in the VM's process. */

import { readFileSync } from "node:fs";
import { type Descriptor, readDescriptors } from "../linux/procfs/fdinfo.js";

/**
 * @param pid the VM
 * @returns overlays' files, and userfaultfds as markLostPages makes them. QEMU asks for other features than ours (or for none,
 *   so one that was never initialised is left alone: it watches nothing)
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_FORMAT
 */
export function readLeftovers(pid: number): Descriptor[] {
  return readDescriptors(pid).filter(
    ({ fd, kind, link }) =>
      link.startsWith("/memfd:hugemend:") || (kind === "userfaultfd" && isMarker(informationOf(pid, fd))),
  );
}

/**
 * @param text of /proc/PID/fdinfo/N of a userfaultfd (fs/userfaultfd.c userfaultfd_show_fdinfo)
 * @returns whether its only feature is UFFD_FEATURE_POISON, beside the kernel's own bit for "initialised"
 */
export function isMarker(text: string): boolean {
  return /^API:\taa:80004000:/m.test(text);
}

function informationOf(pid: number, fd: number): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
  } catch {
    // Closed meanwhile: not left open by anybody.
    return "";
  }
}
