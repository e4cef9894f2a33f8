import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const POOL = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

/** @returns a sentence that says why nothing can be measured on this machine, as this user, and what to do; undefined if it can */
export function whyNotHere(): string | undefined {
  const user = process.getuid?.();
  if (process.platform !== "linux") return `it runs on ${process.platform}: run it on Linux`;
  if (user !== 0)
    return `it traces processes and takes large pages, and runs as user id ${user}: run it as root, for example with sudo`;
  if (!may(POOL, constants.W_OK))
    return `${POOL} cannot be written: run it on a kernel with 2 MiB pages, with /sys mounted writable`;
  if (!pathFolders().some((folder) => may(join(folder, "gcc"), constants.X_OK)))
    return "there is no gcc to compile the measured process with: install gcc and libc6-dev";
  return undefined;
}

function pathFolders(): string[] {
  return (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
