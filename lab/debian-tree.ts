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
const suite = "trixie";
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

/**
 * An unpacked Debian 13: the kernel, stock QEMU, Node and busybox with their libraries. Nothing in it is configured or started; L0 runs
 * its QEMU out of the tree, and L1's root disk is made from it.
 *
 * @returns the tree's folder
 * @throws LabError `HM_LAB_DEBIAN` when the packages cannot be fetched
 */
export async function debianTree(progress: Progress): Promise<string> {
  const key = createHash("sha256")
    .update(JSON.stringify([recipe, suite, packages, leftOut]))
    .digest("hex")
    .slice(0, 16);
  const folder = await cachedFolder(progress, "debian", key, 1, (empty) =>
    progress.step("fetching and unpacking Debian 13 (kernel, QEMU, Node)", () => unpack(empty)),
  );
  return join(folder, "tree");
}

async function unpack(folder: string): Promise<void> {
  const settings = await readAptSettings();
  const tree = join(folder, "tree");
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
