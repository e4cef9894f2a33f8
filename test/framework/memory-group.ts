/** A control group that limits memory, as libvirt and systemd set for a VM. */

import { existsSync, writeFileSync } from "node:fs";
import { ControlGroup } from "./control-group.js";

const kinds = [
  { root: "/sys/fs/cgroup/memory", needs: "memory.limit_in_bytes", file: "memory.limit_in_bytes" },
  { root: "/sys/fs/cgroup", needs: "cgroup.controllers", file: "memory.max" },
] as const;

/** See the head of the file. */
export class MemoryGroup implements AsyncDisposable {
  readonly #group: ControlGroup;
  readonly #file: string;

  /** @param bytes what its processes may take @throws Error if this machine cannot limit memory */
  constructor(bytes: number) {
    const kind = kinds.find(({ root, needs }) => existsSync(`${root}/${needs}`));
    if (kind === undefined)
      throw new Error("this machine has no control groups for memory below /sys/fs/cgroup");
    this.#file = kind.file;
    if (kind.file === "memory.max") writeFileSync(`${kind.root}/cgroup.subtree_control`, "+memory");
    this.#group = new ControlGroup(kind.root, "memory");
    this.limit(bytes);
  }

  /** What its processes may take from now on. */
  limit(bytes: number): void {
    this.#group.set(this.#file, String(bytes));
  }

  /** Puts a process into the group. */
  add(pid: number): void {
    this.#group.add(pid);
  }

  /** After the processes in it have ended. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#group[Symbol.asyncDispose]();
  }
}
