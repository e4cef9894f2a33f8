/** Kernel and first file systems of lab host and victim VM. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, cpioType, packCpio } from "./cpio.js";
import { guestSource } from "./guest-programs.js";
import type { KernelModule } from "./kernel-modules.js";
import { LabError } from "./lab-error.js";

/** The only kernel of a tree. @throws LabError `HM_LAB_KERNEL` */
export function kernelOf(tree: string): string {
  const name = readdirSync(join(tree, "boot")).find((entry) => entry.startsWith("vmlinuz-"));
  if (name === undefined) throw new LabError("HM_LAB_KERNEL", `There is no kernel in ${join(tree, "boot")}`);
  return join(tree, "boot", name);
}

/** L1's: loads modules, mounts the root disk and goes over to it. */
export function hostInitramfs(busybox: Buffer, modules: readonly KernelModule[]): Buffer {
  const order = modules.map((module) => `${module.file}\n`).join("");
  return packCpio([
    ...["bin", "dev", "proc", "sys", "modules"].map(directory),
    device("dev/console", 5, 1),
    file("bin/busybox", busybox),
    { path: "bin/sh", mode: cpioType.link | 0o777, data: Buffer.from("busybox") },
    file("init", readFileSync(guestSource("host-init.sh"))),
    file("modules/order", Buffer.from(order)),
    ...modules.map((module) => file(`modules/${module.file}`, module.data)),
  ]);
}

/** L2's: the guest program is its first process. */
export function victimInitramfs(checker: Buffer, modules: readonly KernelModule[]): Buffer {
  const files = modules.map((module) => file(module.file, module.data));
  return packCpio([directory("dev"), device("dev/console", 5, 1), file("init", checker), ...files]);
}

function directory(path: string): CpioEntry {
  return { path, mode: cpioType.directory | 0o755 };
}

function file(path: string, data: Buffer): CpioEntry {
  return { path, mode: cpioType.file | 0o755, data };
}

function device(path: string, major: number, minor: number): CpioEntry {
  return { path, mode: cpioType.character | 0o600, device: [major, minor] };
}
