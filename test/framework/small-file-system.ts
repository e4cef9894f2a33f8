import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./temporary-folder.js";

/** A file system in memory that is full, or may not be written; unmounted with its scope. */
export class SmallFileSystem implements Disposable {
  readonly #folder: TemporaryFolder = new TemporaryFolder();
  readonly path: string = this.#folder.path;

  constructor(kind: "full" | "read-only") {
    // SAFETY: a new folder of our own; dying right here leaves an empty mount of 64 KiB.
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "hugemend-test", this.path]);
    try {
      if (kind === "full") this.#fill();
      else execFileSync("mount", ["-o", "remount,ro", this.path]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #fill(): void {
    for (let file = 0; ; file++) {
      try {
        writeFileSync(join(this.path, `ballast-${file}`), Buffer.alloc(4096));
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOSPC") return;
        throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    execFileSync("umount", [this.path]);
    this.#folder[Symbol.dispose]();
  }
}
