/** Step 2 of the walk: what lies at the address of an error? Trusts the kernel's mappings, never the signal's size. */

import { alignDown, type Hva, hva } from "../linux/address.js";
import type { MappingLookup } from "../linux/procfs/mapping-lookup.js";
import { type Mapping, readMaps } from "../linux/procfs/maps.js";
import { readSmapsEntry } from "../linux/procfs/smaps.js";
import { isAnonymous } from "./anonymous.js";
import type { LargePage } from "./large-page.js";
import { type OverlayIdentity, parseOverlayPath } from "./overlay-name.js";
import { isTagPath, readTag, type SpareTag } from "./spare-tag.js";
import { unusedRegion } from "./unused-region.js";

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

/** Where a classification looks. */
export interface Sight {
  readonly mappings: MappingLookup;
  readonly overlays: { at(address: Hva): PlacedOverlay | undefined };
}

/**
 * Asks for the mapping there now.
 *
 * @param sight of the process
 * @throws LinuxError HM_PROC_GONE, HM_PROC_DENIED, HM_PROC_READ, HM_PROC_FORMAT
 */
export function classify({ mappings, overlays }: Sight, address: Hva): Classification {
  const there = mappings.at(address);
  if (there === undefined) return { kind: "unmapped" };
  const anonymous = isAnonymous(there.mapping) ? overlays.at(address) : undefined;
  if (anonymous !== undefined) return { kind: "overlay", ...anonymous };
  return classifyAddress(there.mapping, address, () => mappings.largePageSize(there));
}

/** An overlay that is in its large page's place. */
export interface PlacedOverlay {
  readonly overlay: OverlayIdentity;
  /** What is mapped there; of an anonymous overlay the whole, however the kernel has split it. */
  readonly mapping: Mapping;
  /** Of an anonymous one: the tag that names it, and what it says. */
  readonly tag?: { readonly mapping: Mapping; readonly says: SpareTag };
}

/** Memory that a guard has made in a process and nobody uses. */
export interface StrayRange {
  readonly start: Hva;
  readonly size: bigint;
  /** A tag, and the spare region behind it if it is still there. */
  readonly spare: boolean;
}

/** Overlays in place, and those that a guard left beside when it died before the swap. */
export interface FoundOverlays {
  readonly placed: readonly PlacedOverlay[];
  /** Lazy ones that are not full yet, of which only a part is still mapped: they are filled, and no more. */
  readonly torn: readonly PlacedOverlay[];
  readonly stray: readonly StrayRange[];
}

/** @param tagOf what the tag says that is mapped there @param flagsOf VmFlags of a mapping; undefined if they are not known */
export function findOverlays(
  mappings: readonly Mapping[],
  tagOf: (mapping: Mapping) => SpareTag | undefined = () => undefined,
  flagsOf: (mapping: Mapping) => ReadonlySet<string> | undefined = () => undefined,
): FoundOverlays {
  const placed: PlacedOverlay[] = [];
  const torn: PlacedOverlay[] = [];
  const stray: StrayRange[] = [];
  mappings.forEach((mapping, index) => {
    if (isTagPath(mapping.path)) {
      const says = tagOf(mapping);
      const inPlace = says === undefined ? undefined : anonymousAt(mappings, says);
      const part = says === undefined || inPlace !== undefined ? undefined : partOf(mappings, says);
      if (says?.page && inPlace !== undefined)
        placed.push({ overlay: says.page, mapping: inPlace, tag: { mapping, says } });
      else if (says?.page && part !== undefined)
        torn.push({ overlay: says.page, mapping: part, tag: { mapping, says } });
      else {
        const behind = unusedRegion(mapping, mappings[index + 1], says, flagsOf);
        stray.push({ start: mapping.start, size: mapping.end - mapping.start + behind, spare: true });
      }
      return;
    }
    const overlay = parseOverlayPath(mapping.path);
    if (overlay === undefined) return;
    const inPlace = mapping.start - mapping.offset === overlay.base;
    if (inPlace) placed.push({ overlay, mapping });
    else stray.push({ start: mapping.start, size: mapping.end - mapping.start, spare: false });
  });
  return { placed, torn, stray };
}

/** @returns overlays in a process now @throws LinuxError */
export function readOverlays(pid: number): FoundOverlays {
  return findOverlays(
    readMaps(pid),
    (mapping) => readTag(pid, mapping),
    ({ start }) => readSmapsEntry(pid, start)?.vmFlags,
  );
}

/** @returns the anonymous memory in the place that a tag names, as one mapping; undefined if anything else is there */
function anonymousAt(mappings: readonly Mapping[], { page }: SpareTag): Mapping | undefined {
  if (page === null) return undefined;
  const end = hva(page.base + BigInt(page.size));
  let at: bigint = page.base;
  let first: Mapping | undefined;
  for (const mapping of mappings) {
    if (mapping.end <= at) continue;
    if (mapping.start > at || !isAnonymous(mapping)) return undefined;
    first ??= mapping;
    at = mapping.end;
    if (at >= end) return { ...first, start: page.base, end };
  }
  return undefined;
}

/** @returns a part of an unfinished lazy replacement, of which the rest is no longer mapped */
function partOf(mappings: readonly Mapping[], { page, descriptor }: SpareTag): Mapping | undefined {
  if (page === null || descriptor === null) return undefined;
  const end = page.base + BigInt(page.size);
  return mappings.find((one) => one.start < end && one.end > page.base && isAnonymous(one));
}
