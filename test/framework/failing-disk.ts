import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./temporary-folder.js";
import { waitUntil } from "./wait-until.js";

const IMAGE_BYTES = 8 * 2 ** 20;
const STORE_BYTES = 2 * 2 ** 20;
const BLOCK = 4096;

/**
 * A file system on a disk that can be made to fail: a loop device on a sparse file, which lies in a memory file system that is too small
 * for it. When that one is full, the disk reports an I/O error for each block it has not stored yet. ext2, because it has no
 * journal that would end it at the first error. Gone with its scope.
 */
export class FailingDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #folder = new TemporaryFolder();
  readonly #store: string;
  readonly #image: string;
  readonly #ballast: string;
  readonly #mounted: string[] = [];

  private constructor() {
    this.#store = join(this.#folder.path, "store");
    this.path = join(this.#folder.path, "disk");
    this.#image = join(this.#store, "image");
    this.#ballast = join(this.#store, "ballast");
  }

  /** @throws Error if this machine has no loop devices, or no mkfs.ext2 */
  static async start(): Promise<FailingDisk> {
    const disk = new FailingDisk();
    try {
      disk.#make();
    } catch (error) {
      await disk[Symbol.asyncDispose]();
      throw error;
    }
    return disk;
  }

  #make(): void {
    this.#mount(this.#store, ["-t", "tmpfs", "-o", `size=${STORE_BYTES}`, "hugemend-test"]);
    writeFileSync(this.#image, "");
    truncateSync(this.#image, IMAGE_BYTES);
    execFileSync("mkfs.ext2", ["-q", "-b", String(BLOCK), this.#image], { stdio: "pipe" });
    this.#mount(this.path, ["-t", "ext2", "-o", "loop", this.#image]);
  }

  #mount(path: string, words: readonly string[]): void {
    mkdirSync(path);
    // SAFETY: a new, empty file system in a folder of ours; dying here leaves mounts in a temporary folder.
    execFileSync("mount", [...words, path], { stdio: "pipe" });
    this.#mounted.unshift(path);
  }

  /**
   * From now on a write fails whose first block was never written. (A loop device calls one well that fails only later: seen on Linux
   * 6.18, drivers/block/loop.c, lo_complete_rq().)
   */
  fail(): void {
    const { bavail, bsize } = statfsSync(this.#store);
    writeFileSync(this.#ballast, Buffer.alloc(bavail * bsize, 1));
  }

  /** It works again. */
  mend(): void {
    rmSync(this.#ballast);
  }

  /** Whether the bytes are on the disk, and not only in the kernel's memory. */
  holds(bytes: string): boolean {
    return readFileSync(this.#image).includes(bytes);
  }

  /** Waits for whoever has a file on it open for a moment more. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#mounted.splice(0)) await waitUntil(`${path} is not in use`, () => unmount(path));
    this.#folder[Symbol.dispose]();
  }
}

function unmount(path: string): boolean {
  return spawnSync("umount", [path]).status === 0;
}
