import { createHash } from "node:crypto";
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readAptSettings } from "./apt-settings.js";
import { cachedFolder } from "./cached-folder.js";
import { runCommand } from "./command.js";
import { LabError } from "./lab-error.js";
import type { Progress } from "./progress.js";

/** Raise this when the way the tree is built changes. */
const recipe = 3;
/** Which packages of which Debian. */
export interface DebianPart {
  /** Name of its folder in the cache. */
  readonly kind: string;
  /** For people: `Debian 13 (kernel, QEMU, Node)`. */
  readonly title: string;
  readonly suite: string;
  readonly packages: readonly string[];
}

const packages = [
  "linux-image-amd64",
  "qemu-system-x86",
  "nodejs",
  "busybox-static",
  "kmod",
  // qemu-storage-daemon, which serves disks to VMs as a process of its own.
  "qemu-utils",
  "dmsetup",
];
const leftOut = [
  "/usr/share/doc/*",
  "/usr/share/locale/*",
  "/usr/share/man/*",
  "/usr/share/info/*",
  "/usr/lib/firmware/*",
];

const debian13: DebianPart = {
  kind: "debian",
  title: "Debian 13 (kernel, QEMU, Node)",
  suite: "trixie",
  packages,
};

/**
 * An unpacked Debian 13: the kernel, stock QEMU, Node and busybox with their libraries. Nothing in it is configured or started; L0 runs
 * its QEMU out of the tree, and L1's root disk is made from it.
 *
 * @returns the tree's folder
 * @throws LabError `HM_LAB_DEBIAN` when the packages cannot be fetched
 */
export async function debianTree(progress: Progress): Promise<string> {
  const key = createHash("sha256").update(treeRecipe(debian13)).digest("hex").slice(0, 16);
  const folder = await cachedFolder(progress, debian13.kind, key, 1, (empty) =>
    progress.step(`fetching and unpacking ${debian13.title}`, () =>
      unpackDebian(debian13, join(empty, "tree")),
    ),
  );
  return join(folder, "tree");
}

/** All that an unpacked tree depends on but the archive, as text: for keys of what is made from one. */
export function treeRecipe({ suite, packages }: DebianPart): string {
  return JSON.stringify([recipe, suite, packages, leftOut]);
}

/**
 * Fetches packages with all they depend on, and unpacks them.
 *
 * @param tree a folder that is not there yet
 * @throws LabError `HM_LAB_DEBIAN` when the packages cannot be fetched
 */
export async function unpackDebian({ suite, packages }: DebianPart, tree: string): Promise<void> {
  const settings = await readAptSettings();
  const argv = [
    "mmdebstrap",
    "--variant=extract",
    "--mode=root",
    "--architectures=amd64",
    "--format=directory",
  ];
  argv.push('--aptopt=APT::Install-Recommends "false"');
  for (const option of settings.options) argv.push(`--aptopt=${option}`);
  for (const path of leftOut) argv.push(`--dpkgopt=path-exclude=${path}`);
  argv.push(`--include=${packages.join(",")}`, suite, tree);
  if (settings.mirror !== undefined) argv.push(settings.mirror);
  try {
    await runCommand(argv);
  } catch (cause) {
    throw new LabError(
      "HM_LAB_DEBIAN",
      `Debian's packages for the lab could not be fetched from ${settings.mirror ?? "the archive"}`,
      {
        remedy: "Check the network, and that apt-get update works on this machine",
        cause,
      },
    );
  }
  // An extracted tree has no base-files, whose part this is: the merged /usr.
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    if (!existsSync(join(tree, name))) symlinkSync(`usr/${name}`, join(tree, name));
  }
  for (const name of ["proc", "sys", "dev", "tmp", "run", "root", "opt", "lab"])
    mkdirSync(join(tree, name), { recursive: true });
  for (const name of ["qemu-system-i386", "qemu-img", "qemu-io", "qemu-nbd"])
    rmSync(join(tree, "usr/bin", name), { force: true });
}
