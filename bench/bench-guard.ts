/** A guard on a measured process: the real one, with the interpreter's flags of the installed command. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Child } from "../test/framework/child.js";
import { driverPath } from "../test/framework/driver-path.js";
import { COMMAND } from "../test/framework/guard-process.js";

/** Offset of the 4 KiB that counts as lost in every large page. */
export const LOST = 4096;

const recovered = z.object({
  event: z.literal("recovered"),
  fill: z.enum(["eager", "lazy"]),
  ms: z.object({ stall: z.number(), downtime: z.number(), total: z.number() }),
});

/** What is read of a `recovered` event. Milliseconds. */
export interface Recovered {
  readonly event: "recovered";
  readonly fill: "eager" | "lazy";
  readonly ms: { readonly stall: number; readonly downtime: number; readonly total: number };
}

/** Flags of the command's first line, so that what is measured is what is installed. */
export function interpreterFlags(): string[] {
  const line = readFileSync(COMMAND, "utf8").split("\n", 1)[0] ?? "";
  return line.split(" ").filter((word) => word.startsWith("--"));
}

/** What a guard is started with besides the process. */
export interface BenchGuardOptions {
  /** Folder for its ledger. */
  readonly folder: string;
  /** Path of a QMP socket. */
  readonly qmp?: string;
  readonly quiesce?: "always" | "never";
  /** `auto` if left out. */
  readonly fill?: "eager" | "lazy";
  /** Whether the kernel is taken to have said nothing of what is lost. */
  readonly unreported?: boolean;
}

/** See the head of the file. */
export class BenchGuard implements AsyncDisposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** @param pid of the process to guard @returns when it guards @throws Error with its complaint if it does not */
  static async start(pid: number, options: BenchGuardOptions): Promise<BenchGuard> {
    const { folder, qmp, quiesce = "auto", fill = "auto", unreported = false } = options;
    const ledger = join(folder, `ledger-${pid}`);
    const input = JSON.stringify({ pid, ledger, qmp, quiesce, fill, unreported, lost: [LOST] });
    const guard = new BenchGuard(
      Child.start(process.execPath, [...interpreterFlags(), driverPath("guard-driver"), input]),
    );
    try {
      await guard.#next("ready");
      return guard;
    } catch (error) {
      const complaint = guard.#child.errors.all.join("\n");
      await guard[Symbol.asyncDispose]();
      throw new Error(`the guard did not get ready: ${complaint}`, { cause: error });
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Skips what else it says. @throws Error if a recovery is refused meanwhile, or nothing comes in time */
  async #next(name: string): Promise<unknown> {
    for (;;) {
      const line = await this.#child.output.next();
      const event: unknown = JSON.parse(line);
      if (typeof event !== "object" || event === null || !("event" in event)) continue;
      if (event.event === name) return event;
      if (event.event === "refused") throw new Error(`the guard refused to recover: ${line}`);
    }
  }

  /** @returns the next recovery it tells of */
  async recovered(): Promise<Recovered> {
    return recovered.parse(await this.#next("recovered"));
  }

  /** Waits for the end of a lazy fill. */
  async filled(): Promise<void> {
    await this.#next("filled");
  }

  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Tells it to let the process go, and waits until it has. */
  async stop(): Promise<void> {
    this.kill("SIGTERM");
    await this.#child.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}
