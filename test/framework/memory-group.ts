/** A control group that limits memory, as libvirt and systemd set for a VM. */

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const kinds = [
  { root: "/sys/fs/cgroup/memory", needs: "memory.limit_in_bytes", file: "memory.limit_in_bytes" },
  { root: "/sys/fs/cgroup", needs: "cgroup.controllers", file: "memory.max" },
] as const;

/** See the head of the file. */
export class MemoryGroup implements AsyncDisposable {
  readonly #folder: string;
  readonly #file: string;

  /** @param bytes what its processes may take @throws Error if this machine cannot limit memory */
  constructor(bytes: number) {
    const kind = kinds.find(({ root, needs }) => existsSync(`${root}/${needs}`));
    if (kind === undefined)
      throw new Error("this machine has no control groups for memory below /sys/fs/cgroup");
    this.#folder = `${kind.root}/hugemend-test-memory-${process.pid}`;
    this.#file = kind.file;
    if (kind.file === "memory.max") writeFileSync(`${kind.root}/cgroup.subtree_control`, "+memory");
    mkdirSync(this.#folder);
    this.limit(bytes);
  }

  /** What its processes may take from now on. */
  limit(bytes: number): void {
    writeFileSync(`${this.#folder}/${this.#file}`, String(bytes));
  }

  /** Puts a process into the group. */
  add(pid: number): void {
    writeFileSync(`${this.#folder}/cgroup.procs`, String(pid));
  }

  /** After the processes in it have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    const any = (): boolean => readFileSync(`${this.#folder}/cgroup.procs`, "latin1") !== "";
    for (let tries = 0; any() && tries < 100; tries += 1) await sleep(20);
    rmdirSync(this.#folder);
  }
}
