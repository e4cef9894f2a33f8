/** Which guest physical address stands where in QEMU's memory. */

import { type Gpa, gpa, type Hva, hex, hva } from "../linux/address.js";
import { type FlatRange, parseFlatView } from "./flat-view.js";
import { QemuError } from "./qemu-error.js";
import type { QmpCommands } from "./qmp-commands.js";
import type { WaitOptions } from "./qmp-transport.js";
import { parseRamBlocks, type RamBlock } from "./ram-block-table.js";

/** A run of guest addresses that stands in one piece in QEMU's memory. */
export interface RamSection {
  readonly blockName: string;
  readonly gpa: Gpa;
  readonly hva: Hva;
  /** In bytes. */
  readonly size: number;
  /** Where in the RAM block it begins, in bytes; the same offset holds in a backend's file. */
  readonly blockOffset: number;
}

/** The guest's memory at one moment. Plugging memory in or out changes it: read it again then. */
export interface RamLayout {
  /** Every RAM block, video memory and firmware included; `hva` is filled in where it could be found. */
  readonly blocks: readonly RamBlock[];
  /** By ascending guest address; guest addresses never overlap. One block may show at several. */
  readonly sections: readonly RamSection[];
}

/**
 * Asks QEMU for its RAM blocks and where the guest sees them. Needs QEMU's main loop: never call it while that is stopped.
 * @throws QemuError HM_QEMU_RAM_BLOCKS, HM_QEMU_MEMORY_TREE, and those of `QmpExecutor.execute`
 */
export async function readRamLayout(commands: QmpCommands, options?: WaitOptions): Promise<RamLayout> {
  const blocks = parseRamBlocks(await commands.humanMonitor("info ramblock", options));
  const ranges = parseFlatView(await commands.humanMonitor("info mtree -f", options));
  const found = new Map<string, Hva>();
  for (const range of ranges) {
    const block = blockOf(blocks, range);
    if (block === null || block.hva !== null || found.has(block.name)) continue;
    // QEMU before 8.2: the table has no addresses.
    const start = await askHva(commands, range.gpa, options);
    if (start !== null && start > BigInt(range.offset))
      found.set(block.name, hva(start - BigInt(range.offset)));
  }
  const placed = blocks.map((b) => ({ ...b, hva: b.hva ?? found.get(b.name) ?? null }));
  return { blocks: placed, sections: joinSections(placed, ranges) };
}

/**
 * Joins both answers. Pure.
 * @throws QemuError HM_QEMU_MEMORY_TREE when a range lies outside its block
 */
export function joinSections(
  blocks: readonly RamBlock[],
  ranges: readonly FlatRange[],
): readonly RamSection[] {
  return ranges.flatMap((range) => {
    const block = blockOf(blocks, range);
    if (block === null || block.hva === null) return [];
    if (range.offset + range.size > block.size) {
      throw new QemuError(
        "HM_QEMU_MEMORY_TREE",
        `Guest memory at ${hex(range.gpa)} lies outside its RAM block ${block.name}`,
        {
          present: `${range.size} bytes at offset ${range.offset}`,
          expected: `at most ${block.size} bytes`,
          remedy: "Memory may have been plugged in or out meanwhile: try again",
        },
      );
    }
    const start = hva(block.hva + BigInt(range.offset));
    return [
      { blockName: block.name, gpa: range.gpa, hva: start, size: range.size, blockOffset: range.offset },
    ];
  });
}

/** @returns the lowest guest address that shows this byte, or null */
export function gpaOf(sections: readonly RamSection[], address: Hva): Gpa | null {
  const section = sections.find((s) => address >= s.hva && address < s.hva + BigInt(s.size));
  return section === undefined ? null : gpa(section.gpa + (address - section.hva));
}

/** @returns where this guest address stands in QEMU, or null */
export function hvaOf(sections: readonly RamSection[], address: Gpa): Hva | null {
  const section = sections.find((s) => address >= s.gpa && address < s.gpa + BigInt(s.size));
  return section === undefined ? null : hva(section.hva + (address - section.gpa));
}

/**
 * The address QEMU itself gives for a guest address (HMP `gpa2hva`), to check ours against.
 * @returns null where QEMU has no RAM there, or does not know the command
 */
export async function askHva(
  commands: QmpCommands,
  address: Gpa,
  options?: WaitOptions,
): Promise<Hva | null> {
  const text = await commands.humanMonitor(`gpa2hva ${hex(address)}`, options);
  const found = /^Host virtual address for 0x[0-9a-f]{1,16} \(.*\) is 0x([0-9a-f]{1,16})\s*$/.exec(
    text.slice(0, 4096),
  );
  return found === null ? null : hva(BigInt(`0x${found[1]}`));
}

/**
 * A block is named like its memory region, with the owning device's path before it where there is one
 * (`0000:00:01.0/vga.vram`). Where that leaves a choice, none: a wrong guest address is worse than no address.
 */
function blockOf(blocks: readonly RamBlock[], range: FlatRange): RamBlock | null {
  for (const name of range.names) {
    const exact = blocks.find((b) => b.name === name);
    if (exact !== undefined) return exact;
    const [only, ...more] = blocks.filter((b) => b.name.endsWith(`/${name}`));
    if (only !== undefined) return more.length === 0 ? only : null;
  }
  return null;
}
