/** Linux AIO contexts, io_setup(2): disk I/O that writes into a process's memory behind its page tables. */

import { KeptFile } from "./kept-file.js";
import { readMapsText } from "./maps.js";

/**
 * Events of all contexts on this host together, in whatever name space (fs/aio.c aio_nr: raised before io_setup returns, lowered when a
 * context is destroyed, right before its ring is unmapped).
 */
const eventsOnHost = new KeptFile("/proc/sys/fs/aio-nr");

/** fs/aio.c maps each context's ring as a file named [aio]. @param mapsText the whole of /proc/PID/maps */
export function mapsAioRing(mapsText: string): boolean {
  return mapsText.includes(" /[aio]");
}

/**
 * @param pid a process
 * @returns whether it has a context: quickly if nobody on this host has one
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_READ
 */
export function hasAioContext(pid: number): boolean {
  if (eventsOnHost.read() === "0\n") return false;
  return mapsAioRing(readMapsText(pid));
}
