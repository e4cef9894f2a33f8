/** A victim with large pages and the real guard on it, started as `hugemend` itself is. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Child } from "../test/framework/child.js";
import { driverPath } from "../test/framework/driver-path.js";
import { COMMAND } from "../test/framework/guard-process.js";
import { RamVictim } from "../test/framework/ram-victim.js";

/** A copy of 200 pages on a busy machine takes seconds, not minutes. */
const PATIENCE_MS = 120_000;

/** See the head of the file. */
export class Rig implements AsyncDisposable {
  readonly #ram: RamVictim;
  readonly #guard: Child;

  private constructor(ram: RamVictim, guard: Child) {
    this.#ram = ram;
    this.#guard = guard;
  }

  /** @param folder for the ledger @throws Error if the guard does not get ready */
  static async start(folder: string): Promise<Rig> {
    const ram = await RamVictim.start(8);
    try {
      const input = JSON.stringify({ pid: ram.pid, ledger: join(folder, "ledger"), lost: [4096] });
      const guard = Child.start(process.execPath, [...interpreterFlags(), driverPath("guard-driver"), input]);
      while (!(await guard.output.next()).includes('"ready"'));
      return new Rig(ram, guard);
    } catch (error) {
      await ram[Symbol.asyncDispose]();
      throw error;
    }
  }

  get victimPid(): number {
    return this.#ram.pid;
  }

  get guardPid(): number {
    return this.#guard.pid;
  }

  /** @param command one of the victim's that answers with nanoseconds @throws Error if it does not */
  async numbers(command: string): Promise<number[]> {
    const [, ...words] = (await this.#ram.victim.ask(command, PATIENCE_MS)).split(" ");
    const numbers = words.map(Number);
    if (numbers.length > 0 && numbers.every((number) => number > 0)) return numbers;
    throw new Error(`the victim answered ${JSON.stringify(words)} to ${command}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guard[Symbol.asyncDispose]();
    await this.#ram[Symbol.asyncDispose]();
  }
}

/** Flags of the command's first line, so that what is measured is what is installed. */
function interpreterFlags(): string[] {
  const line = readFileSync(COMMAND, "utf8").split("\n", 1)[0] ?? "";
  return line.split(" ").filter((word) => word.startsWith("--"));
}
