/** A control group whose processes can be frozen, as `docker pause` and `systemctl freeze` do. */

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

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
  readonly #folder: string;

  /** @throws Error if this machine cannot freeze processes */
  constructor() {
    const kind = kinds.find(({ root, needs }) => existsSync(`${root}/${needs}`));
    if (kind === undefined)
      throw new Error("this machine has no control groups that can be frozen below /sys/fs/cgroup");
    this.#kind = kind;
    this.#folder = `${kind.root}/hugemend-test-${process.pid}`;
    mkdirSync(this.#folder);
  }

  /** Puts a process into the group. */
  add(pid: number): void {
    writeFileSync(`${this.#folder}/cgroup.procs`, String(pid));
  }

  /** From now on no thread of the group runs. */
  freeze(): void {
    this.#say(this.#kind.frozen);
  }

  /** All of them go on. */
  thaw(): void {
    this.#say(this.#kind.thawed);
  }

  #say(word: string): void {
    writeFileSync(`${this.#folder}/${this.#kind.file}`, word);
  }

  /** After the processes in it have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    for (
      let tries = 0;
      readFileSync(`${this.#folder}/cgroup.procs`, "latin1") !== "" && tries < 100;
      tries += 1
    )
      await sleep(20);
    rmdirSync(this.#folder);
  }
}
