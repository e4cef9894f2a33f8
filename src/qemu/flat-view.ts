/**
 * Reads the answer of HMP `info mtree -f`: what stands at which guest address, aliases already resolved (QEMU:
 * softmmu/memory.c, mtree_print_flatview; tried with 7.2 and 10.0, q35 and i440fx).
 *
 *     FlatView #0
 *      AS "memory", root: system
 *      Root memory region: system
 *       0000000000100000-000000007fffffff (prio 0, ram): ram0 @0000000000100000 KVM
 */

import { type Gpa, gpa } from "../linux/address.js";
import { QemuError } from "./qemu-error.js";

/** A run of guest addresses that one memory region backs with RAM. */
export interface FlatRange {
  readonly gpa: Gpa;
  /** In bytes. */
  readonly size: number;
  /**
   * Possible names of the region, likeliest first: behind the name QEMU may print the accelerator or an owner, and
   * names may hold blanks.
   */
  readonly names: readonly string[];
  /** Where in the region the run begins, in bytes. */
  readonly offset: number;
}

const RANGE = /^ {2}([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?[0-9]{1,10}, ([a-z0-9/ -]{1,40})\): (.*)$/;
const OFFSET = / @([0-9a-f]{16})(?= |$)/;
/** RAM, and RAM that is write-protected at the moment (x86 shadows firmware in it). Not: devices, flash, PCI memory. */
const BACKED: ReadonlySet<string> = new Set(["ram", "rom", "nv-ram", "nv-rom"]);
const VIEW = "memory";
const MAX_LINE = 4096;
/** An accelerator and an owner may follow the name (`KVM owner:{dev id=d1}`). */
const MAX_NAMES = 5;

/**
 * @param text the answer
 * @returns RAM of the address space `memory`, ascending, never overlapping
 * @throws QemuError HM_QEMU_MEMORY_TREE for anything else than such a listing
 */
export function parseFlatView(text: string): readonly FlatRange[] {
  const lines = linesOfView(text);
  if (lines === null) throw unreadable(`no view of the address space "${VIEW}"`, text);
  const ranges: FlatRange[] = [];
  let next = 0n;
  for (const line of lines) {
    const [, from, to, kind = "", rest = ""] = RANGE.exec(line.slice(0, MAX_LINE)) ?? [];
    if (from === undefined || to === undefined) {
      if (/^ {2}[0-9a-f]/.test(line)) throw unreadable("an unknown line", line);
      continue;
    }
    const start = BigInt(`0x${from}`);
    const end = BigInt(`0x${to}`) + 1n;
    if (start < next || end <= start) throw unreadable("overlapping or unordered ranges", line);
    next = end;
    if (!BACKED.has(kind)) continue;
    const { names, offset } = nameAndOffset(rest);
    const size = Number(end - start);
    if (!Number.isSafeInteger(size) || !Number.isSafeInteger(offset))
      throw unreadable("an impossible size", line);
    ranges.push({ gpa: gpa(start), size, names, offset });
  }
  return ranges;
}

/** One view may serve several address spaces: all their names stand above its ranges. */
function linesOfView(text: string): readonly string[] | null {
  let lines: string[] = [];
  let wanted = false;
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("FlatView #")) {
      if (wanted) return lines;
      lines = [];
    } else if (line.startsWith(` AS "${VIEW}",`)) wanted = true;
    else lines.push(line);
  }
  return wanted ? lines : null;
}

function nameAndOffset(rest: string): Pick<FlatRange, "names" | "offset"> {
  const at = OFFSET.exec(rest);
  if (at !== null) return { names: [rest.slice(0, at.index)], offset: Number.parseInt(at[1] ?? "", 16) };
  const names = [rest];
  let end = rest.lastIndexOf(" ");
  for (; end > 0 && names.length < MAX_NAMES; end = rest.lastIndexOf(" ", end - 1))
    names.push(rest.slice(0, end));
  return { names, offset: 0 };
}

function unreadable(what: string, present: string): QemuError {
  return new QemuError("HM_QEMU_MEMORY_TREE", `QEMU's answer to "info mtree -f" has ${what}`, {
    present: JSON.stringify(present.slice(0, 200)),
    remedy: "Please report it together with QEMU's version; recovery works without guest addresses",
  });
}
