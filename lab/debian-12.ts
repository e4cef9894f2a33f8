/** Parts of Debian 12 for scenarios that need an older QEMU or kernel. Each is fetched when it is first needed, and kept small. */

import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cachedFolder } from "./cached-folder.js";
import { type DebianPart, treeRecipe, unpackDebian } from "./debian-tree.js";
import { guestSource } from "./guest-programs.js";
import { hostInitramfs, kernelOf } from "./initramfs.js";
import { kernelModules } from "./kernel-modules.js";
import { makeDisk } from "./make-disk.js";
import type { Progress } from "./progress.js";

/** Raise this when disk or initramfs are made in another way. */
const recipe = 1;

const qemuPart: DebianPart = {
  // No kind may begin with another one's name and a dash: old folders are found by it.
  kind: "bookworm-qemu",
  title: "Debian 12's QEMU 7.2",
  suite: "bookworm",
  packages: ["qemu-system-x86"],
};

const kernelPart: DebianPart = {
  kind: "bookworm-kernel",
  title: "Debian 12's kernel 6.1",
  suite: "bookworm",
  packages: ["linux-image-amd64"],
};

/** As `hostModules` of image.ts; the bus and the serial port of virtio are modules here. */
const modules = [
  ...["virtio_pci", "virtio_blk", "virtio_console", "crc32c_generic", "ext4", "overlay"],
  ...["kvm-amd", "hwpoison-inject"],
];

/** Where the disk of `debian12Disk` is mounted in the lab host. */
const mount = "/debian-12";

/** For L1's shell: mounts that disk, its third. */
export const mountDebian12: string = `mkdir -p ${mount} && mount -t ext4 -o ro /dev/vdc ${mount}`;

const libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map((path) => `${mount}/${path}`);

/** For L1's shell: Debian 12's QEMU, through its own dynamic loader and with its own libraries (as in lab-qemu.ts). */
export const debian12Qemu: string = [
  `env QEMU_MODULE_DIR=${mount}/usr/lib/x86_64-linux-gnu/qemu`,
  `${mount}/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path ${libraries.join(":")}`,
  `${mount}/usr/bin/qemu-system-x86_64 -L ${mount}/usr/share/qemu -L ${mount}/usr/share/seabios -L ${mount}/usr/lib/ipxe/qemu`,
].join(" ");

/** What is in the cache, and what it depends on. */
interface Debian12Part {
  readonly key: string;
  readonly folder: string;
}

/** QEMU 7.2 and its libraries as a read-only disk (fetching takes half a minute to a minute, once). @returns its path and key */
export async function debian12Disk(progress: Progress): Promise<{ key: string; disk: string }> {
  const { key, folder } = await part(progress, qemuPart, [], (tree, empty) =>
    makeDisk(tree, join(empty, "debian-12.ext4"), "300M"),
  );
  return { key, disk: join(folder, "debian-12.ext4") };
}

/**
 * Kernel 6.1 and an initramfs for the lab host with its modules.
 *
 * @param busybox path of a static one
 */
export async function debian12Kernel(
  progress: Progress,
  busybox: string,
): Promise<{ key: string; kernel: string; initrd: string }> {
  const depends = [...modules, readFileSync(guestSource("host-init.sh"), "utf8")];
  const { key, folder } = await part(progress, kernelPart, depends, async (tree, empty) => {
    copyFileSync(kernelOf(tree), join(empty, "vmlinuz"));
    const initramfs = hostInitramfs(readFileSync(busybox), await kernelModules(tree, modules));
    writeFileSync(join(empty, "host.cpio"), initramfs);
  });
  return { key, kernel: join(folder, "vmlinuz"), initrd: join(folder, "host.cpio") };
}

/** Unpacks packages, makes what is wanted from them, and forgets them. */
async function part(
  progress: Progress,
  packages: DebianPart,
  depends: readonly string[],
  make: (tree: string, empty: string) => Promise<void>,
): Promise<Debian12Part> {
  const text = JSON.stringify([recipe, treeRecipe(packages), depends]);
  const key = createHash("sha256").update(text).digest("hex").slice(0, 16);
  const folder = await cachedFolder(progress, packages.kind, key, 0, (empty) =>
    progress.step(`fetching and unpacking ${packages.title}`, async () => {
      const tree = join(empty, "tree");
      await unpackDebian(packages, tree);
      await make(tree, empty);
      rmSync(tree, { recursive: true });
    }),
  );
  return { key, folder };
}
