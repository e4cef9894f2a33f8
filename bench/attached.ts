/** A guard on a process, started by attach-driver.ts, and how long attaching took. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { Child } from "../test/framework/child.js";
import { interpreterFlags } from "./bench-guard.js";

const DRIVER = fileURLToPath(new URL("./attach-driver.js", import.meta.url));
const answer = z.object({ ms: z.number() });

/** See the head of the file. */
export class Attached implements AsyncDisposable {
  /** From the check of the process to `ready`, in milliseconds; without the start of the interpreter. */
  readonly ms: number;
  readonly #child: Child;

  private constructor(child: Child, ms: number) {
    this.#child = child;
    this.ms = ms;
  }

  /** @param pid of the process @param folder for the ledger @throws Error with the guard's complaint if it does not guard */
  static async start(pid: number, folder: string): Promise<Attached> {
    const words = [...interpreterFlags(), DRIVER, String(pid), join(folder, `ledger-${pid}`)];
    const child = Child.start(process.execPath, words);
    try {
      return new Attached(child, answer.parse(JSON.parse(await child.output.next())).ms);
    } catch (error) {
      const complaint = child.errors.all.join("\n");
      await child[Symbol.asyncDispose]();
      throw new Error(`the guard did not attach: ${complaint}`, { cause: error });
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Lets the process go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    try {
      await this.#child.end();
    } finally {
      await this.#child[Symbol.asyncDispose]();
    }
  }
}
