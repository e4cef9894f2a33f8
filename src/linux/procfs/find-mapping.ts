/**
 * One mapping out of /proc/PID/maps without building the others: what a recovery asks first, while a virtual CPU
 * stands still. Lines before the address cost two number conversions each.
 */

import type { Hva } from "../address.js";
import { type Mapping, parseMapsLine, readMapsText } from "./maps.js";
import { formatError } from "./proc-file.js";

/**
 * @param text the whole of a /proc/PID/maps
 * @param address any host virtual address
 * @returns the mapping that contains it, or undefined for a hole
 * @throws LinuxError HM_PROC_FORMAT when a line up to the answer is not what the kernel prints
 */
export function findMapping(text: string, address: Hva): Mapping | undefined {
  for (let from = 0; from < text.length; ) {
    const to = text.indexOf("\n", from);
    const dash = text.indexOf("-", from);
    const space = text.indexOf(" ", dash);
    if (to < 0 || dash < 0 || space < 0 || space > to) {
      throw formatError(
        "/proc/PID/maps",
        "START-END … and a newline",
        text.slice(from, to < 0 ? undefined : to),
      );
    }
    // NaN for anything but hexadecimal digits fails both comparisons, so the strict reader below sees the line.
    const end = Number(`0x${text.slice(dash + 1, space)}`);
    // Numbers above 2^53 are rounded: only a clear "ends before" skips the line.
    if (!(end + 4096 <= Number(address))) {
      const mapping = parseMapsLine(text, from, to);
      if (address < mapping.start) return undefined;
      if (address < mapping.end) return mapping;
    }
    from = to + 1;
  }
  return undefined;
}

/** @param pid a process id @returns {@link findMapping} of its maps now @throws LinuxError HM_PROC_… */
export function readMappingAt(pid: number, address: Hva): Mapping | undefined {
  return findMapping(readMapsText(pid), address);
}
