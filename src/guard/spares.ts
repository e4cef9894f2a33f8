/** The spares of one VM: one for each kind of RAM it has, ready before there is an error. */

import { messageOf } from "../errors.js";
import { mapping as flags } from "../linux/native-memory.js";
import type { HugetlbMapping } from "../linux/procfs/map-files.js";
import type { Mapping } from "../linux/procfs/maps.js";
import { obstacleToPrivate, type RamAttributes } from "../recovery/ram-attributes.js";
import type { RegionInit } from "../recovery/spare-region.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";

/** RAM of one VM has one kind, or one for each NUMA node. */
const MOST_KINDS = 16;

/** What all sorts of spares have in common. */
export interface AnySpare {
  /**
   * Removes an unused one from the VM, and lets go of our own descriptors whether or not that succeeds. Never called twice: the call that fails may
   * have been made, or be made later, and what lies there by then may be QEMU's. Its tag tells a guard that looks at the VM anew what is left.
   *
   * @param remote a borrowed thread @throws TraceeError
   */
  remove(remote: RemoteCalls): void;
}

/** Makes a spare. */
export type MakeSpare<One> = (remote: RemoteCalls, kind: Omit<RegionInit, "processDescriptor">) => One;

interface Kind<One> {
  readonly size: number;
  readonly protection: number;
  readonly attributes: RamAttributes;
  spare: One | undefined;
  /** Why there is none. */
  why: string;
}

/** See the head of the file. */
export class Spares<One extends AnySpare> {
  readonly #make: MakeSpare<One>;
  readonly #kinds = new Map<string, Kind<One>>();
  readonly #discarded: One[] = [];

  /** @param ram for which spares are wanted @param attributesOf what its mappings carry */
  constructor(
    make: MakeSpare<One>,
    ram: readonly HugetlbMapping[],
    attributesOf: (mapping: Mapping) => RamAttributes,
  ) {
    this.#make = make;
    for (const { mapping, pageSize } of ram) {
      if (!mapping.shared || this.#kinds.size === MOST_KINDS) continue;
      const kind = { ...kindOf(mapping, pageSize, attributesOf(mapping)), spare: undefined, why: "" };
      const name = nameOf(kind);
      if (!this.#kinds.has(name) && obstacleToPrivate(kind.attributes) === undefined)
        this.#kinds.set(name, kind);
    }
  }

  /** Those that are there and can be used. */
  get all(): One[] {
    return [...this.#kinds.values()].flatMap(({ spare }) => (spare === undefined ? [] : [spare]));
  }

  /** Whether one is there and can be used. */
  has(spare: One): boolean {
    return this.all.includes(spare);
  }

  /** Whether any of it is in the VM. */
  get any(): boolean {
    return this.#discarded.length > 0 || this.all.length > 0;
  }

  /** Whether a kind has no spare and may get one, or one is to be removed. */
  get wanting(): boolean {
    if (this.#discarded.length > 0) return true;
    return [...this.#kinds.values()].some(({ spare, why }) => spare === undefined && why === "");
  }

  /**
   * Removes what was discarded, and makes what is missing. What cannot be made is not tried again: there are ways without a spare.
   *
   * @param remote a borrowed thread @throws TraceeError
   */
  prepare(remote: RemoteCalls): void {
    this.#removeDiscarded(remote);
    for (const kind of this.#kinds.values()) {
      if (kind.spare !== undefined || kind.why !== "") continue;
      try {
        kind.spare = this.#make(remote, kind);
      } catch (error) {
        kind.why = messageOf(error);
      }
    }
  }

  /** @returns the spare for a large page, which stays until it is used; or why there is none */
  find(mapping: Mapping, size: number, attributes: RamAttributes): One | string {
    const obstacle = obstacleToPrivate(attributes);
    if (obstacle !== undefined) return obstacle;
    const kind = this.#kinds.get(nameOf(kindOf(mapping, size, attributes)));
    if (kind === undefined) return "RAM of this kind came after the guard";
    if (kind.spare !== undefined) return kind.spare;
    return kind.why === "" ? "the next spare region is not ready yet" : kind.why;
  }

  /** It is in place now, or lost: the next one is wanted, unless there is a reason why not. */
  used(spare: One, why = ""): void {
    for (const kind of this.#kinds.values()) {
      if (kind.spare !== spare) continue;
      kind.spare = undefined;
      kind.why = why;
    }
  }

  /** A thread may still put it in place: it is never used again, and stays. */
  leave(spare: One): void {
    this.used(spare, "a borrowed thread has not come back yet, and may still use the spare");
  }

  /** It cannot be used any more, and goes when a thread is borrowed next. @param why as for {@link used} */
  discard(spare: One, why = ""): void {
    this.used(spare, why);
    this.#discarded.push(spare);
  }

  #removeDiscarded(remote: RemoteCalls): void {
    // Forgotten first: see AnySpare.
    for (let spare = this.#discarded.pop(); spare !== undefined; spare = this.#discarded.pop())
      spare.remove(remote);
  }

  /** Removes all of them from the VM. @param remote a borrowed thread @throws TraceeError */
  remove(remote: RemoteCalls): void {
    this.#removeDiscarded(remote);
    for (const kind of this.#kinds.values()) {
      const { spare } = kind;
      kind.spare = undefined;
      kind.why = "the guard is leaving";
      spare?.remove(remote);
    }
  }
}

function kindOf(
  mapping: Mapping,
  size: number,
  attributes: RamAttributes,
): Omit<RegionInit, "processDescriptor"> {
  const protection = (mapping.read ? flags.PROT_READ : 0) | (mapping.write ? flags.PROT_WRITE : 0);
  return { size, protection, attributes };
}

/** At an error there is no time to write them out. */
const names = new WeakMap<RamAttributes, string>();

function nameOf({ size, protection, attributes }: Omit<RegionInit, "processDescriptor">): string {
  const known = names.get(attributes) ?? JSON.stringify(attributes);
  names.set(attributes, known);
  return `${size} ${protection} ${known}`;
}
