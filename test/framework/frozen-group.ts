/** A control group whose processes can be frozen, as `docker pause` and `systemctl freeze` do. */

import { existsSync } from "node:fs";
import { ControlGroup } from "./control-group.js";

/** Control groups version 2, and the freezer of version 1 (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst). */
const kinds = [
  { root: "/sys/fs/cgroup", needs: "cgroup.controllers", file: "cgroup.freeze", frozen: "1", thawed: "0" },
  {
    root: "/sys/fs/cgroup/freezer",
    needs: "tasks",
    file: "freezer.state",
    frozen: "FROZEN",
    thawed: "THAWED",
  },
  { root: "/sys/fs/cgroup/unified", needs: "cgroup.procs", file: "cgroup.freeze", frozen: "1", thawed: "0" },
] as const;

/** See the head of the file. */
export class FrozenGroup implements AsyncDisposable {
  readonly #kind: (typeof kinds)[number];
  readonly #group: ControlGroup;

  /** @throws Error if this machine cannot freeze processes */
  constructor() {
    const kind = kinds.find(({ root, needs }) => existsSync(`${root}/${needs}`));
    if (kind === undefined)
      throw new Error("this machine has no control groups that can be frozen below /sys/fs/cgroup");
    this.#kind = kind;
    this.#group = new ControlGroup(kind.root, "frozen");
  }

  /** Puts a process into the group. */
  add(pid: number): void {
    this.#group.add(pid);
  }

  /** From now on no thread of the group runs. */
  freeze(): void {
    this.#group.set(this.#kind.file, this.#kind.frozen);
  }

  /** All of them go on. */
  thaw(): void {
    this.#group.set(this.#kind.file, this.#kind.thawed);
  }

  /** After the processes in it have ended. */
  [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    return this.#group[Symbol.asyncDispose]();
  }
}
