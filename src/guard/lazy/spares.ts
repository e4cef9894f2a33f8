/** The spare regions of one VM: one for each kind of RAM it has, ready before there is an error. */

import { messageOf } from "../../errors.js";
import { mapping as flags } from "../../linux/native-memory.js";
import type { HugetlbMapping } from "../../linux/procfs/map-files.js";
import type { Mapping } from "../../linux/procfs/maps.js";
import type { RamAttributes } from "../../recovery/ram-attributes.js";
import { Spare, type SpareStep } from "../../recovery/spare.js";
import type { RemoteCalls } from "../../tracee/remote-calls.js";

/** RAM of one VM has one kind, or one for each NUMA node. */
const MOST_KINDS = 16;

interface Kind {
  readonly size: number;
  readonly protection: number;
  readonly attributes: RamAttributes;
  spare: Spare | undefined;
  /** Why there is none. */
  why: string;
}

/** What a spare is made with, beside what the RAM says. */
export interface SparesInit {
  readonly processDescriptor: number;
  readonly onStep: (step: SpareStep) => void;
}

/** See the head of the file. */
export class Spares {
  readonly #init: SparesInit;
  readonly #kinds = new Map<string, Kind>();

  /** @param ram for which spares are wanted @param attributesOf what its mappings carry */
  constructor(
    init: SparesInit,
    ram: readonly HugetlbMapping[],
    attributesOf: (mapping: Mapping) => RamAttributes,
  ) {
    this.#init = init;
    for (const { mapping, pageSize } of ram) {
      if (!mapping.shared || this.#kinds.size === MOST_KINDS) continue;
      const kind = kindOf(mapping, pageSize, attributesOf(mapping));
      const name = nameOf(kind);
      if (!this.#kinds.has(name) && !kind.attributes.locked) this.#kinds.set(name, kind);
    }
  }

  /** Whether a kind has no spare, and may get one. */
  get wanting(): boolean {
    return [...this.#kinds.values()].some(({ spare, why }) => spare === undefined && why === "");
  }

  /** The VM's descriptors that belong to spares. */
  get descriptors(): number[] {
    return [...this.#kinds.values()].flatMap(({ spare }) => (spare === undefined ? [] : [spare.theirs]));
  }

  /** Makes what is missing. Never throws: without a spare a large page is replaced eagerly. @param remote a borrowed thread */
  prepare(remote: RemoteCalls): void {
    for (const kind of this.#kinds.values()) {
      if (kind.spare !== undefined || kind.why !== "") continue;
      try {
        kind.spare = Spare.prepare(remote, { ...kind, ...this.#init });
      } catch (error) {
        kind.why = messageOf(error);
      }
    }
  }

  /** @returns the spare for a large page, which stays until it is used; or why there is none */
  find(mapping: Mapping, size: number, attributes: RamAttributes): Spare | string {
    if (attributes.locked) return "RAM is locked in memory (mlock)";
    const kind = this.#kinds.get(nameOf(kindOf(mapping, size, attributes)));
    if (kind === undefined) return "RAM of this kind came after the guard";
    if (kind.spare !== undefined) return kind.spare;
    return kind.why === "" ? "the next spare region is not ready yet" : kind.why;
  }

  /** It is in place now, or lost: the next one is wanted. */
  used(spare: Spare): void {
    for (const kind of this.#kinds.values()) if (kind.spare === spare) kind.spare = undefined;
  }

  /** Removes all of them from the VM. @param remote a borrowed thread @throws TraceeError */
  remove(remote: RemoteCalls): void {
    for (const kind of this.#kinds.values()) {
      const { spare } = kind;
      kind.spare = undefined;
      kind.why = "the guard is leaving";
      spare?.remove(remote);
    }
  }
}

function kindOf(mapping: Mapping, size: number, attributes: RamAttributes): Kind {
  const protection = (mapping.read ? flags.PROT_READ : 0) | (mapping.write ? flags.PROT_WRITE : 0);
  return { size, protection, attributes, spare: undefined, why: "" };
}

function nameOf({ size, protection, attributes }: Kind): string {
  return JSON.stringify([size, protection, attributes]);
}
