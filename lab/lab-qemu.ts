import { join } from "node:path";
import { debianTree } from "./debian-tree.js";
import type { Progress } from "./progress.js";

/** How to start the lab's stock QEMU on this machine. */
export interface LabQemu {
  /** Program and first arguments; append QEMU's own. */
  readonly argv: readonly string[];
  /** To be added to the environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Stock Debian 13 `qemu-system-x86_64` out of the lab's unpacked tree, through the tree's own dynamic loader, so that it runs on any
 * Linux with whatever C library (Debian 12's is older than the one it was built for). Fetches the tree when it is not cached yet.
 *
 * @example
 * const { argv, env } = await labQemu(new Progress());
 * const [program = "", ...first] = argv;
 * spawn(program, [...first, "-machine", "none", "-qmp", "unix:/run/q,server=on,wait=off"], { env: { ...process.env, ...env } });
 */
export async function labQemu(progress: Progress): Promise<LabQemu> {
  return treeQemu(await debianTree(progress));
}

/** The same for a tree that is there already. */
export function treeQemu(tree: string): LabQemu {
  const libraries = join(tree, "usr/lib/x86_64-linux-gnu");
  return {
    argv: [
      join(tree, "usr/lib64/ld-linux-x86-64.so.2"),
      "--library-path",
      libraries,
      join(tree, "usr/bin/qemu-system-x86_64"),
      "-L",
      join(tree, "usr/share/qemu"),
      "-L",
      join(tree, "usr/share/seabios"),
    ],
    env: { QEMU_MODULE_DIR: join(libraries, "qemu") },
  };
}
