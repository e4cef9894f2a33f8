/** Which thread is which virtual CPU. */

import type { QmpCommands } from "./qmp-commands.js";
import type { ExecuteOptions } from "./qmp-connection.js";

/** AMD's processors never broadcast a machine check; what QEMU does for others, it does for them too (see decision 0023). */
const NEVER_BROADCAST: ReadonlySet<string> = new Set(["AuthenticAMD", "HygonGenuine"]);

/** Kept ready: at an error there is no time to ask. */
export class VirtualCpus {
  readonly #commands: QmpCommands;
  #indexes: ReadonlyMap<number, number> = new Map();
  #broadcasts = true;

  constructor(commands: QmpCommands) {
    this.#commands = commands;
  }

  /** Asks QEMU. Its threads may all run meanwhile. @throws QemuError: what was known stays */
  async refresh(options?: ExecuteOptions): Promise<void> {
    const cpus = await this.#commands.queryCpusFast(options);
    this.#indexes = new Map(cpus.map(({ threadId, index }) => [threadId, index]));
    const [first] = cpus;
    if (first === undefined) return;
    const vendor = await this.#commands.qomString(first.qomPath, "vendor", options);
    if (NEVER_BROADCAST.has(vendor)) this.#broadcasts = false;
  }

  /** @param tid as QEMU's own pid namespace has it */
  indexOf(tid: number): number | undefined {
    return this.#indexes.get(tid);
  }

  /** Whether a machine check goes to all virtual CPUs, as Intel's processors do it. */
  get broadcasts(): boolean {
    return this.#broadcasts;
  }

  /** This model does not (QEMU: target/i386/helper.c, cpu_x86_support_mca_broadcast()). */
  neverBroadcast(): void {
    this.#broadcasts = false;
  }
}
