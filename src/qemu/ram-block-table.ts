/**
 * Reads the answer of HMP `info ramblock` (QEMU: softmmu/physmem.c, ram_block_format; the HVA and RO columns came with
 * QEMU 8.2, tried with 7.2 and 10.0).
 */

import { type Hva, hva } from "../linux/address.js";
import { QemuError } from "./qemu-error.js";

/** A piece of memory QEMU has allocated as one. */
export interface RamBlock {
  /** QEMU's name: the backend's id (`ram0`, `/objects/ram0`), or `pc.ram` where there is none. */
  readonly name: string;
  /** Bytes of the pages that back it: 4096, 2 MiB, 1 GiB. */
  readonly pageSize: number;
  /** Bytes mapped. */
  readonly size: number;
  /** Where it begins in QEMU; null when this QEMU does not tell (before 8.2). */
  readonly hva: Hva | null;
}

const HEADER = /^ *Block Name +PSize +Offset +Used +Total/;
const ROW =
  /^ *(\S.*?) +([0-9.]{1,8}) (B|KiB|MiB|GiB|TiB) +0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})(?: +0x([0-9a-f]{1,16}))?(?: +r[ow])?$/;
/** A piece of a passed-through device's own memory (hw/vfio/region.c) has no name. It is no RAM. */
const NAMELESS = /^ +[0-9.]{1,8} (?:B|KiB|MiB|GiB|TiB) +0x[0-9a-f]{1,16} 0x[0-9a-f]{1,16} 0x/;
const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
/** Keeps the expression above from crawling over megabytes of blanks. */
const MAX_ROW = 4096;
const ADDRESS_SPACE = 1n << 64n;

/**
 * @param text the answer
 * @returns the blocks that have a name, in QEMU's order; names are unique, and no two overlap in host memory
 * @throws QemuError HM_QEMU_RAM_BLOCKS for anything else than such a table
 */
export function parseRamBlocks(text: string): readonly RamBlock[] {
  const [header = "", ...rows] = text.split(/\r?\n/);
  if (!HEADER.test(header)) throw unreadable("no table of RAM blocks", header);
  const blocks = new Map<string, RamBlock>();
  for (const row of rows) {
    if (row.trim() === "" || NAMELESS.test(row.slice(0, MAX_ROW))) continue;
    const block = parseRow(row);
    if (blocks.has(block.name)) throw unreadable("a RAM block twice", row);
    blocks.set(block.name, block);
  }
  const list = [...blocks.values()];
  refuseOverlap(list);
  return list;
}

function parseRow(row: string): RamBlock {
  const [, name = "", amount = "", unit = "", , , total = "", at] = ROW.exec(row.slice(0, MAX_ROW)) ?? [];
  const pageSize = Number(amount) * (UNITS[unit] ?? 0);
  const size = Number.parseInt(total, 16);
  if (name === "" || !Number.isInteger(Math.log2(pageSize)) || !Number.isSafeInteger(size)) {
    throw unreadable("an unknown row", row);
  }
  if (at === undefined) return { name, pageSize, size, hva: null };
  const start = BigInt(`0x${at}`);
  if (start === 0n || start + BigInt(size) > ADDRESS_SPACE) throw unreadable("an impossible address", row);
  return { name, pageSize, size, hva: hva(start) };
}

function refuseOverlap(blocks: readonly RamBlock[]): void {
  const placed = blocks.flatMap((b) => (b.hva === null || b.size === 0 ? [] : [{ ...b, hva: b.hva }]));
  placed.sort((a, b) => (a.hva < b.hva ? -1 : 1));
  for (const [i, block] of placed.entries()) {
    const next = placed[i + 1];
    if (next !== undefined && block.hva + BigInt(block.size) > next.hva) {
      throw unreadable("overlapping RAM blocks", `${block.name} and ${next.name}`);
    }
  }
}

function unreadable(what: string, present: string): QemuError {
  return new QemuError("HM_QEMU_RAM_BLOCKS", `QEMU's answer to "info ramblock" has ${what}`, {
    present: JSON.stringify(present.slice(0, 200)),
    remedy: "Please report it together with QEMU's version; recovery works without guest addresses",
  });
}
