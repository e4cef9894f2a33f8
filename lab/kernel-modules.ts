import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { runCommand } from "./command.js";
import { LabError } from "./lab-error.js";

/** A kernel module, unpacked. */
export interface KernelModule {
  /** File name: `kvm-amd.ko`. */
  readonly file: string;
  readonly data: Buffer;
}

/**
 * Reads kernel modules and all they depend on from a tree, unpacked and in the order in which they must be loaded.
 *
 * @param tree an unpacked Debian with one kernel
 * @param names modules without suffix; `-` and `_` are the same
 * @throws LabError `HM_LAB_MODULE` when the kernel has no such module
 */
export async function kernelModules(tree: string, names: readonly string[]): Promise<KernelModule[]> {
  // Debian 12 has no merged /usr in its packages, and does not pack its modules.
  const place = ["usr/lib/modules", "lib/modules"].find((path) => existsSync(join(tree, path)));
  const folder = join(tree, place ?? "usr/lib/modules");
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const name = /([^/]+)\.ko(?:\.xz)?$/.exec(entry)?.[1];
    if (name !== undefined) files.set(canonical(name), join(folder, entry));
  }
  const done = new Map<string, KernelModule>();
  const visit = async (name: string): Promise<void> => {
    if (done.has(canonical(name))) return;
    const path = files.get(canonical(name));
    if (path === undefined) {
      throw new LabError("HM_LAB_MODULE", `The lab's kernel has no module ${name}`, {
        present: `${files.size} other modules`,
      });
    }
    const data = path.endsWith(".xz") ? (await runCommand(["xz", "-dc", path])).stdout : readFileSync(path);
    for (const needed of dependencies(data)) await visit(needed);
    done.set(canonical(name), { file: basename(path, ".xz"), data });
  };
  for (const name of names) await visit(name);
  return [...done.values()];
}

/** The modules that a module names in its own `.modinfo` section. */
export function dependencies(module: Buffer): string[] {
  const key = "\0depends=";
  const at = module.indexOf(key, 0, "latin1");
  if (at < 0) return [];
  const text = module.toString("latin1", at + key.length, module.indexOf(0, at + key.length));
  return text.split(",").filter((name) => name !== "");
}

function canonical(name: string): string {
  return name.replaceAll("-", "_");
}
