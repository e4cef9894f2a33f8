import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LARGE_PAGE } from "./ram-victim.js";
import { TemporaryFolder } from "./temporary-folder.js";

/** A hugetlbfs that holds no more pages than it is told: a pool of its own that can be empty. Unmounted with its scope. */
export class LargePageFileSystem implements Disposable {
  readonly #folder: TemporaryFolder = new TemporaryFolder();

  /** @param pages how many at most; they come from the machine's pool */
  constructor(pages: number) {
    const options = `pagesize=${LARGE_PAGE},size=${pages * LARGE_PAGE}`;
    // SAFETY: a new folder of our own; dying right here leaves an empty mount that holds no page.
    execFileSync("mount", ["-t", "hugetlbfs", "-o", options, "hugemend-test", this.#folder.path]);
  }

  /** A new empty file in it. @returns its path */
  create(name: string): string {
    writeFileSync(this.file(name), "");
    return this.file(name);
  }

  /** Path of a file in it. */
  file(name: string): string {
    return join(this.#folder.path, name);
  }

  /** Gives a file's pages back. */
  remove(name: string): void {
    rmSync(this.file(name));
  }

  [Symbol.dispose](): void {
    // Lazily: a victim that has just been killed may still let go of its pages.
    execFileSync("umount", ["-l", this.#folder.path]);
    this.#folder[Symbol.dispose]();
  }
}
