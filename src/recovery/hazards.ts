/**
 * What may write into guest RAM behind the page tables. A write through the page tables faults on a poisoned large page; a
 * device that holds the physical page does not, and would write into a page that nobody reads any more after the swap.
 */

import { hasAioContext } from "../linux/procfs/aio.js";
import { type Descriptor, readDescriptors } from "../linux/procfs/fdinfo.js";

/** What was found, for people: `O_DIRECT descriptor 12 (/var/lib/disk.img)`. */
export interface Hazards {
  /** In-flight disk I/O: ends when QEMU is stopped. */
  readonly transient: readonly string[];
  /** Long-term ties to the physical page, by devices or encryption: never end by themselves. */
  readonly pinned: readonly string[];
  /** Its userfaultfds: postcopy migration and background snapshots put them on RAM. */
  readonly userfaultfds: readonly number[];
}

/**
 * Beginnings of /proc/PID/fd links. vhost-vdpa and RDMA (rdma migration) pin pages for their devices; a dma-buf is guest memory lent
 * to a graphics card (virtio-gpu with blob=on); under AMD SEV memory is encrypted by its physical address, so that a copy elsewhere
 * is noise.
 */
const pins = ["/dev/vhost-vdpa", "/dev/infiniband/", "/dmabuf:", "/dev/sev"];

/** @param descriptors of the process @param aio whether an io_setup(2) ring is mapped */
export function hazardsOf(descriptors: readonly Descriptor[], aio: boolean): Hazards {
  const transient: string[] = [];
  const pinned: string[] = [];
  for (const { fd, kind, link, direct } of descriptors) {
    if (kind === "vfio" || kind === "iommufd" || pins.some((pin) => link.startsWith(pin))) {
      pinned.push(`${kind} descriptor ${fd} (${link})`);
    } else if (kind === "io_uring") transient.push(`io_uring descriptor ${fd}`);
    else if (direct) transient.push(`O_DIRECT descriptor ${fd} (${link})`);
  }
  if (aio) transient.push("Linux AIO context");
  const userfaultfds = descriptors.filter(({ kind }) => kind === "userfaultfd").map(({ fd }) => fd);
  return { transient, pinned, userfaultfds };
}

/** @returns what the process has open now @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_FORMAT */
export function readHazards(pid: number): Hazards {
  // Only files and block devices can be open with O_DIRECT in a way that matters.
  const descriptors = readDescriptors(pid, (kind) => kind === "file");
  return hazardsOf(descriptors, hasAioContext(pid));
}
