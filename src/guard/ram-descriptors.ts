import { type FileOf, isStill, lookForDescriptor } from "../recovery/ram-file.js";

/** The VM's own descriptors of its RAM files, by their numbers. */
export class RamDescriptors {
  readonly #pid: number;
  readonly #known = new Map<string, number>();

  /** @param files to look for now: at an error there is no time */
  constructor(pid: number, files: readonly FileOf[]) {
    this.#pid = pid;
    for (const file of files) this.of(file);
  }

  /** @returns a number that names the file now; undefined if the VM has closed it @throws an error of the system when the VM is gone */
  of(file: FileOf): number | undefined {
    const name = `${file.device} ${file.inode}`;
    const before = this.#known.get(name);
    if (before !== undefined && isStill(this.#pid, before, file)) return before;
    const now = lookForDescriptor(this.#pid, file);
    if (now === undefined) this.#known.delete(name);
    else this.#known.set(name, now);
    return now;
  }
}
