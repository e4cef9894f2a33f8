/** Step 2 of the walk: what lies at the address of an error? Trusts the kernel's mappings, never the signal's size. */

import { alignDown, type Hva } from "../linux/address.js";
import { findMapping } from "../linux/procfs/find-mapping.js";
import { hugetlbPageSize } from "../linux/procfs/map-files.js";
import { type Mapping, readMapsText } from "../linux/procfs/maps.js";
import type { LargePage } from "./large-page.js";
import { type OverlayIdentity, parseOverlayPath } from "./overlay-name.js";

/** What lies at an address. */
export type Classification =
  | { readonly kind: "large-page"; readonly page: LargePage }
  | { readonly kind: "overlay"; readonly overlay: OverlayIdentity; readonly mapping: Mapping }
  | { readonly kind: "other"; readonly mapping: Mapping }
  | { readonly kind: "unmapped" };

/**
 * @param mapping what is mapped at the address, undefined for a hole
 * @param address the address of the error
 * @param pageSizeOf bytes of a large page if the mapping is hugetlbfs, otherwise undefined
 */
export function classifyAddress(
  mapping: Mapping | undefined,
  address: Hva,
  pageSizeOf: (mapping: Mapping) => number | undefined,
): Classification {
  if (mapping === undefined) return { kind: "unmapped" };
  const overlay = parseOverlayPath(mapping.path);
  if (overlay !== undefined) return { kind: "overlay", overlay, mapping };
  const size = pageSizeOf(mapping);
  if (size === undefined) return { kind: "other", mapping };
  const base = alignDown(address, size);
  const page: LargePage = {
    base,
    size,
    offset: mapping.offset + (base - mapping.start),
    device: mapping.device,
    inode: mapping.inode,
    mapping,
  };
  // The kernel aligns both; anything else means that we misread it.
  if (base < mapping.start || base + BigInt(size) > mapping.end) return { kind: "other", mapping };
  if (page.offset % BigInt(size) !== 0n) return { kind: "other", mapping };
  return { kind: "large-page", page };
}

/** A classification and what it was made from. */
export interface Classified {
  readonly found: Classification;
  /** The whole of /proc/PID/maps it was made from. */
  readonly mapsText: string;
}

/**
 * Reads the process's mappings now.
 *
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_READ, HM_PROC_FORMAT
 */
export function classify(pid: number, address: Hva): Classified {
  const mapsText = readMapsText(pid);
  const mapping = findMapping(mapsText, address);
  return { mapsText, found: classifyAddress(mapping, address, (one) => hugetlbPageSize(pid, one)) };
}

/** An overlay that is in its large page's place. */
export interface PlacedOverlay {
  readonly overlay: OverlayIdentity;
  readonly mapping: Mapping;
}

/** Overlays in place, and those that a guard left beside when it died before the swap. */
export function findOverlays(mappings: readonly Mapping[]): { placed: PlacedOverlay[]; stray: Mapping[] } {
  const placed: PlacedOverlay[] = [];
  const stray: Mapping[] = [];
  for (const mapping of mappings) {
    const overlay = parseOverlayPath(mapping.path);
    if (overlay === undefined) continue;
    const inPlace = mapping.start - mapping.offset === overlay.base;
    if (inPlace) placed.push({ overlay, mapping });
    else stray.push(mapping);
  }
  return { placed, stray };
}
