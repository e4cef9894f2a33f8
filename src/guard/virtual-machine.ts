/** What the guard asks of QEMU itself, over one QMP session. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Gpa, Hva } from "../linux/address.js";
import { mappingAt, readMaps } from "../linux/procfs/maps.js";
import type { PauseLease } from "../qemu/pause-lease.js";
import { QmpClient } from "../qemu/qmp-client.js";
import { QmpCommands } from "../qemu/qmp-commands.js";
import { Quiescer } from "../qemu/quiesce.js";
import { gpaOf, type RamLayout, readRamLayout } from "../qemu/ram-blocks.js";
import { GuardError } from "./guard-error.js";
import type { Journal } from "./journal.js";

/** How long QEMU may take for an answer before anything is touched. */
const PATIENCE_MS = 10_000;

/** One VM's monitor. */
export class VirtualMachine {
  readonly #client: QmpClient;
  readonly #commands: QmpCommands;
  readonly #quiescer: Quiescer;
  #layout: RamLayout;
  #leftover: Promise<unknown> = Promise.resolve();

  private constructor(client: QmpClient, commands: QmpCommands, quiescer: Quiescer, layout: RamLayout) {
    this.#client = client;
    this.#commands = commands;
    this.#quiescer = quiescer;
    this.#layout = layout;
    // Memory may have been plugged in or out: QEMU tells so, or the connection was away when it did.
    const refresh = (): void => void this.#refresh();
    for (const event of ["DEVICE_DELETED", "MEMORY_DEVICE_SIZE_CHANGE", "ACPI_DEVICE_OST"])
      client.on(event, refresh);
    client.onReconnect(refresh);
  }

  /**
   * Connects, and checks that the monitor is this process's.
   *
   * @param pid the VM's process
   * @param socket path of its QMP socket
   * @throws QemuError; GuardError HM_GUARD_OTHER_VM
   */
  static async connect(pid: number, socket: string, journal: Journal): Promise<VirtualMachine> {
    const client = await QmpClient.connect(socket, { connectTimeoutMs: PATIENCE_MS });
    try {
      const commands = new QmpCommands(client);
      const layout = await readRamLayout(commands, { timeoutMs: PATIENCE_MS });
      refuseOtherVm(pid, socket, layout);
      const quiescer = new Quiescer(client, (event) => {
        // Without a durable `pausing` there must be no pause; `resumed` comes after the fact and must not undo a success.
        if (event.event === "pausing") journal.require(event);
        else journal.note(event);
      });
      return new VirtualMachine(client, commands, quiescer, layout);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Guest physical address of a byte of RAM, null if QEMU has not told. */
  gpaOf(address: Hva): Gpa | null {
    const found = gpaOf(this.#layout.sections, address);
    if (found === null) void this.#refresh();
    return found;
  }

  /** QEMU's name of the RAM block there, null if unknown. */
  blockOf(address: Hva): string | null {
    const block = this.#layout.blocks.find(
      ({ hva, size }) => hva !== null && address >= hva && address < hva + BigInt(size),
    );
    return block?.name ?? null;
  }

  /**
   * Ends a pause that a dead guard has left. Only once errors are served: the guest may run into poison at once.
   *
   * @throws QemuError
   */
  undoLeftover(): Promise<unknown> {
    this.#leftover = this.#quiescer.undoLeftover();
    return this.#leftover;
  }

  /** Pauses the VM, after a pause that was left is over; see Quiescer.pause. @throws QemuError, LedgerError */
  async pause(): Promise<PauseLease> {
    await this.#leftover.catch(() => {});
    return this.#quiescer.pause();
  }

  /** Calls back after each reset of the guest. */
  onReset(listener: () => void): void {
    this.#client.on("RESET", listener);
  }

  /** Ends the session, once no pause of ours is under way any more, or after a while. */
  async close(): Promise<void> {
    await Promise.race([this.#quiescer.idle(), sleep(PATIENCE_MS, undefined, { ref: false })]);
    this.#client.close();
  }

  async #refresh(): Promise<void> {
    try {
      this.#layout = await readRamLayout(this.#commands);
    } catch {
      // The old layout stays: what it does not know is told as unknown.
    }
  }
}

/** A monitor of another VM would give wrong guest addresses and pause the wrong guest. */
function refuseOtherVm(pid: number, socket: string, layout: RamLayout): void {
  const mappings = readMaps(pid);
  const placed = layout.blocks.flatMap((block) => (block.hva === null ? [] : [{ ...block, hva: block.hva }]));
  const missing = placed.find((block) => mappingAt(mappings, block.hva) === undefined);
  if (placed.length > 0 && missing === undefined) return;
  throw new GuardError("HM_GUARD_OTHER_VM", `The QMP socket ${socket} does not belong to process ${pid}`, {
    present:
      missing === undefined
        ? "no RAM block with an address"
        : `RAM block ${missing.name} is not mapped there`,
    expected: "every RAM block mapped in the process",
    remedy: "Give the QMP socket of the VM that --pid names",
  });
}
