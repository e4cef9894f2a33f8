/**
 * Which replacement lies at an address of anonymous memory. Only its tag knows, and there are as many tags as replacements: where one
 * was found it is looked for there first, because each touch of a lost page asks.
 */

import { type Hva, hva } from "../linux/address.js";
import type { MappingLookup } from "../linux/procfs/mapping-lookup.js";
import { isAnonymous } from "./anonymous.js";
import { type PlacedOverlay, readOverlays } from "./classify.js";
import { isTagPath, readTag } from "./spare-tag.js";

/** See the head of the file. */
export class AnonymousOverlays {
  readonly #lookup: MappingLookup;
  /** By the address of a replacement. */
  readonly #tags = new Map<Hva, { readonly end: bigint; readonly tag: Hva }>();

  /** @param lookup of the process */
  constructor(lookup: MappingLookup) {
    this.#lookup = lookup;
  }

  /** @returns the replacement there now, if there is one @throws LinuxError */
  at(address: Hva): PlacedOverlay | undefined {
    for (const [base, { end, tag }] of this.#tags) {
      if (address < base || address >= end) continue;
      const still = this.#known(base, tag, address);
      if (still !== undefined) return still;
      this.#tags.delete(base);
    }
    const found = readOverlays(this.#lookup.pid).placed.find(
      ({ mapping: { start, end } }) => address >= start && address < end,
    );
    if (found?.tag !== undefined)
      this.#tags.set(found.overlay.base, { end: found.mapping.end, tag: found.tag.mapping.start });
    return found;
  }

  /** The tag is read anew: the page may have been put back, and another be there. */
  #known(base: Hva, tagAt: Hva, address: Hva): PlacedOverlay | undefined {
    const tag = this.#lookup.at(tagAt)?.mapping;
    if (tag === undefined || !isTagPath(tag.path)) return undefined;
    const says = readTag(this.#lookup.pid, tag);
    const mapping = this.#lookup.at(address)?.mapping;
    if (says?.page?.base !== base || mapping === undefined || !isAnonymous(mapping)) return undefined;
    const end = hva(base + BigInt(says.size));
    return { overlay: says.page, mapping: { ...mapping, start: base, end }, tag: { mapping: tag, says } };
  }
}
