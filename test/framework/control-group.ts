/** A control group of a test: a folder below /sys/fs/cgroup, removed when the processes in it have ended. */

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** See the head of the file. */
export class ControlGroup implements AsyncDisposable {
  readonly #folder: string;

  /** @param root of the hierarchy @param purpose a word for its name */
  constructor(root: string, purpose: string) {
    this.#folder = `${root}/hugemend-test-${purpose}-${process.pid}`;
    mkdirSync(this.#folder);
  }

  /** Puts a process into the group. */
  add(pid: number): void {
    this.set("cgroup.procs", String(pid));
  }

  /** Writes one of the group's settings. */
  set(file: string, value: string): void {
    writeFileSync(`${this.#folder}/${file}`, value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const any = (): boolean => readFileSync(`${this.#folder}/cgroup.procs`, "latin1") !== "";
    for (let tries = 0; any() && tries < 100; tries += 1) await sleep(20);
    rmdirSync(this.#folder);
  }
}
