import { type BigIntStats, fstatSync } from "node:fs";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { type FileOf, isFile, lookForDescriptor } from "../recovery/ram-file.js";

/** A descriptor that VM and guard share. */
export interface TakenDescriptor {
  /** Its number in the VM, as of now. */
  readonly theirs: number;
  /** Ours, to be closed by whoever took it. */
  readonly ours: number;
  readonly stat: BigIntStats;
}

/** The VM's own descriptors of its RAM files, by their numbers. */
export class RamDescriptors {
  readonly #pid: number;
  readonly #known = new Map<string, number>();

  /** @param files to look for now: at an error there is no time */
  constructor(pid: number, files: readonly FileOf[]) {
    this.#pid = pid;
    for (const file of files) this.#look(file);
  }

  /**
   * @param processDescriptor pidfd of the VM
   * @returns undefined if the VM has none any more
   * @throws an error of the system when the VM is gone
   */
  take(processDescriptor: number, file: FileOf): TakenDescriptor | undefined {
    const known = this.#known.get(nameOf(file));
    const theirs = known ?? this.#look(file);
    if (theirs === undefined) return undefined;
    const ours = this.#tryTake(processDescriptor, theirs);
    if (ours !== undefined) {
      const stat = fstatSync(ours, { bigint: true });
      if (isFile(stat, file)) return { theirs, ours, stat };
      closeDescriptor(ours);
    }
    this.#known.delete(nameOf(file));
    return known === undefined ? undefined : this.take(processDescriptor, file);
  }

  #tryTake(processDescriptor: number, theirs: number): number | undefined {
    try {
      return takeDescriptor(processDescriptor, theirs);
    } catch {
      // Closed, or the VM is gone: the caller finds out which.
      return undefined;
    }
  }

  #look(file: FileOf): number | undefined {
    const found = lookForDescriptor(this.#pid, file);
    if (found !== undefined) this.#known.set(nameOf(file), found);
    return found;
  }
}

function nameOf({ device, inode }: FileOf): string {
  return `${device} ${inode}`;
}
