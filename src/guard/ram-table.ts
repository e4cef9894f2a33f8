/** The VM's large-page RAM as the process maps it. */

import type { RamRegion, WarningEvent } from "../ledger/events.js";
import { hex } from "../linux/address.js";
import { type HugetlbMapping, hugetlbMappings } from "../linux/procfs/map-files.js";
import type { Mapping } from "../linux/procfs/maps.js";
import type { PlacedOverlay } from "../recovery/classify.js";
import { attributesOf, type RamAttributes } from "../recovery/ram-attributes.js";
import type { VirtualMachine } from "./virtual-machine.js";

/** @returns large-page mappings, ascending @throws LinuxError */
export function readRamTable(pid: number, mappings: readonly Mapping[]): HugetlbMapping[] {
  return hugetlbMappings(pid, mappings);
}

/**
 * @param ram from readRamTable
 * @param vm tells QEMU's names, if there is a QMP socket
 * @returns one region per RAM mapping; what overlays have split is shown whole
 */
export function ramRegions(
  ram: readonly HugetlbMapping[],
  placed: readonly PlacedOverlay[],
  vm: VirtualMachine | undefined,
): RamRegion[] {
  const regions: { first: HugetlbMapping; end: bigint }[] = [];
  const overlayEnds = new Map(placed.map(({ mapping }) => [mapping.start, mapping.end]));
  for (const entry of ram) {
    const last = regions.at(-1);
    const sameFile =
      last !== undefined &&
      last.first.mapping.inode === entry.mapping.inode &&
      last.first.mapping.device === entry.mapping.device;
    if (last !== undefined && sameFile && bridged(last.end, entry.mapping.start, overlayEnds))
      last.end = entry.mapping.end;
    else regions.push({ first: entry, end: entry.mapping.end });
  }
  return regions.map(({ first: { mapping, pageSize }, end }) => ({
    id: vm?.blockOf(mapping.start) ?? mapping.path,
    hva: hex(mapping.start),
    size: Number(end - mapping.start),
    pageSize,
    shared: mapping.shared,
    backing: mapping.path.startsWith("/memfd:") ? "memfd" : mapping.path,
  }));
}

/** Whether only overlays lie between two addresses. */
function bridged(from: bigint, to: bigint, overlayEnds: ReadonlyMap<bigint, bigint>): boolean {
  let at = from;
  while (at < to) {
    const next = overlayEnds.get(at);
    if (next === undefined) return false;
    at = next;
  }
  return at === to;
}

function sizeOf({ start, end }: Mapping): bigint {
  return end - start;
}

/** What limits the protection of this RAM. */
export function ramWarnings(
  pid: number,
  ram: readonly HugetlbMapping[],
  placed: readonly PlacedOverlay[],
): WarningEvent[] {
  if (ram.length === 0 && placed.length === 0) {
    return [
      {
        event: "warning",
        code: "HM_RAM_NO_LARGE_PAGES",
        message: `Process ${pid} maps no hugetlbfs memory: there is nothing to guard until it does`,
      },
    ];
  }
  return ram
    .filter(({ mapping }) => !mapping.shared)
    .map(({ mapping, pageSize }) => ({
      event: "warning",
      code: "HM_RAM_PRIVATE",
      message:
        `RAM at ${hex(mapping.start)} (${mapping.path}) is mapped privately: a memory error there loses the whole page of ` +
        `${pageSize} bytes, as without Hugemend. Start QEMU with -object memory-backend-file,…,share=on instead of -mem-path or share=off`,
    }));
}

/** @returns advice and NUMA policy of each RAM file's mapping as it is now; asks again only for RAM that came later */
export function rememberAttributes(
  pid: number,
  ram: readonly HugetlbMapping[],
): (mapping: Mapping) => RamAttributes {
  const key = (mapping: Mapping): string => `${mapping.device} ${mapping.inode}`;
  // Of many mappings of a file the largest: a single page may have been put back by a guard that died before it was advised again.
  const largest = new Map<string, Mapping>();
  for (const { mapping } of ram) {
    const other = largest.get(key(mapping));
    if (other === undefined || sizeOf(other) < sizeOf(mapping)) largest.set(key(mapping), mapping);
  }
  const known = new Map([...largest].map(([file, mapping]) => [file, attributesOf(pid, mapping)]));
  return (mapping) => {
    const found = known.get(key(mapping)) ?? attributesOf(pid, mapping);
    known.set(key(mapping), found);
    return found;
  };
}
