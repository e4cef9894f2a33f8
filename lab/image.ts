import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cachedFolder } from "./cached-folder.js";
import { runCommand } from "./command.js";
import { debianTree } from "./debian-tree.js";
import { compileGuestProgram, guestPrograms, guestSource, guestSources } from "./guest-programs.js";
import { hostInitramfs, kernelOf, victimInitramfs } from "./initramfs.js";
import { kernelModules } from "./kernel-modules.js";
import { type LabQemu, treeQemu } from "./lab-qemu.js";
import { makeDisk } from "./make-disk.js";
import type { Progress } from "./progress.js";

/** Raise this when the way the image is built changes. */
const recipe = 3;
const hostModules = ["virtio_blk", "crc32c_generic", "ext4", "overlay", "kvm-amd", "hwpoison-inject"];
/** Loaded by the scenarios that need them, with `loadModules` of victim-config.ts. */
const extraHostModules = ["loop", "dm-delay", "tun", "vhost_net", "vfio_iommu_type1", "vfio-pci"];
const victimModules = ["pvpanic", "pvpanic-pci", "virtio_blk", "virtio_net"];

/** All that a lab host boots from. */
export interface LabImage {
  /** Identifies the content: same key, same bytes. */
  readonly key: string;
  readonly qemu: LabQemu;
  readonly kernel: string;
  readonly initrd: string;
  /** A static one. */
  readonly busybox: string;
  /** L1's root disk, ext4, never written. */
  readonly disk: string;
  /** One more read-only disk of L1, its third. */
  readonly programs?: string;
}

/**
 * The lab host's image: from the cache, or built (Debian tree 30 s with a good network, the rest 5 s).
 *
 * The root disk holds the tree without kernel modules, busybox's commands, and under /lab: the agent, the poison helper, and
 * kernel and initramfs of the victim VM.
 */
export async function labImage(progress: Progress): Promise<LabImage> {
  const tree = await debianTree(progress);
  const hash = createHash("sha256").update(
    JSON.stringify([recipe, hostModules, extraHostModules, victimModules]),
  );
  hash.update(readFileSync(join(tree, "var/lib/dpkg/status")));
  for (const file of [...guestSources, "host-init.sh"]) hash.update(readFileSync(guestSource(file)));
  const key = hash.digest("hex").slice(0, 16);
  const folder = await cachedFolder(progress, "image", key, 1, (empty) =>
    progress.step("building the lab host's image", () => build(tree, empty)),
  );
  return {
    key,
    qemu: treeQemu(tree),
    kernel: kernelOf(tree),
    initrd: join(folder, "host.cpio"),
    busybox: join(tree, "usr/bin/busybox"),
    disk: join(folder, "root.ext4"),
  };
}

async function build(tree: string, folder: string): Promise<void> {
  const [agent, poison, echo, checker] = await Promise.all(guestPrograms.map(compileGuestProgram));
  if (agent === undefined || poison === undefined || echo === undefined || checker === undefined)
    throw new TypeError("unreachable");
  const busybox = readFileSync(join(tree, "usr/bin/busybox"));
  writeFileSync(join(folder, "host.cpio"), hostInitramfs(busybox, await kernelModules(tree, hostModules)));

  const stage = join(folder, "stage");
  await runCommand(["cp", "-al", tree, stage]);
  for (const path of ["usr/lib/modules", "usr/lib/udev", "boot", "var"]) {
    rmSync(join(stage, path), { recursive: true, force: true });
  }
  mkdirSync(join(stage, "lab"), { recursive: true });
  copyFileSync(kernelOf(tree), join(stage, "lab/vmlinuz"));
  writeFileSync(
    join(stage, "lab/victim.cpio"),
    victimInitramfs(checker, await kernelModules(tree, victimModules)),
  );
  for (const [name, data] of [
    ["agent", agent],
    ["poison", poison],
    ["echo", echo],
  ] as const) {
    writeFileSync(join(stage, "lab", name), data);
    chmodSync(join(stage, "lab", name), 0o755);
  }
  mkdirSync(join(stage, "lab/modules"));
  for (const name of extraHostModules) {
    const modules = await kernelModules(tree, [name]);
    for (const { file, data } of modules) writeFileSync(join(stage, "lab/modules", file), data);
    writeFileSync(
      join(stage, "lab/modules", `${name}.order`),
      modules.map((module) => `${module.file}\n`).join(""),
    );
  }
  const { stdout } = await runCommand([join(tree, "usr/bin/busybox"), "--list"]);
  for (const command of stdout.toString().split("\n")) {
    if (command === "" || ["usr/bin", "usr/sbin"].some((place) => existsSync(join(stage, place, command))))
      continue;
    symlinkSync("busybox", join(stage, "usr/bin", command));
  }
  // Node keeps parts of itself in usr/share/nodejs, so that stays.
  const disk = join(folder, "root.ext4");
  await makeDisk(stage, disk, "700M");
  rmSync(stage, { recursive: true });
}
