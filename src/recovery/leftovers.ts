/** Descriptors that a guard which died in the middle of a recovery has left open in the VM's process. */

import { readFileSync } from "node:fs";
import { type Descriptor, readDescriptors } from "../linux/procfs/fdinfo.js";
import { TAG_NAME } from "./spare-tag.js";

/**
 * @param pid the VM
 * @param inUse descriptors that a replacement still needs
 * @param died whether a guard is known to have died; a file of it says so too
 * @returns userfaultfds as markLostPages makes them, then files of overlays: closed in this order, the second kind shows
 *   until the end that somebody died
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_FORMAT
 */
export function readLeftovers(pid: number, inUse: ReadonlySet<number>, died: boolean): Descriptor[] {
  const descriptors = readDescriptors(pid).filter(({ fd }) => !inUse.has(fd));
  const files = descriptors.filter(
    ({ link }) => link.startsWith("/memfd:hugemend:") || link.startsWith(`/memfd:${TAG_NAME}`),
  );
  const markers = descriptors.filter(
    ({ fd, kind }) => kind === "userfaultfd" && isMarker(informationOf(pid, fd), died || files.length > 0),
  );
  return [...markers, ...files];
}

/**
 * @param text of /proc/PID/fdinfo/N of a userfaultfd (fs/userfaultfd.c userfaultfd_show_fdinfo)
 * @param died whether a guard is known to have died in the middle of something
 * @returns whether its features are UFFD_FEATURE_POISON alone (lost-pages.ts) or with EVENT_REMAP (spare.ts), beside the kernel's own
 *   bit for "initialised". QEMU asks for other features. One that was not initialised yet could be QEMU's as well: it counts only if a guard has died.
 */
export function isMarker(text: string, died: boolean): boolean {
  return /^API:\taa:8000400[04]:/m.test(text) || (died && /^API:\taa:0:/m.test(text));
}

function informationOf(pid: number, fd: number): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
  } catch {
    // Closed meanwhile: not left open by anybody.
    return "";
  }
}
