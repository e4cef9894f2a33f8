/** What the guard asks of QEMU itself, over one QMP session. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Gpa, Hva } from "../linux/address.js";
import { mappingAt, readMaps } from "../linux/procfs/maps.js";
import { injectMachineCheck, type MachineCheckOutcome } from "../qemu/machine-check.js";
import type { PauseLease } from "../qemu/pause-lease.js";
import { QemuError } from "../qemu/qemu-error.js";
import type { QemuRelease } from "../qemu/qemu-release.js";
import { QmpClient } from "../qemu/qmp-client.js";
import { QmpCommands } from "../qemu/qmp-commands.js";
import { Quiescer } from "../qemu/quiesce.js";
import { gpaOf, type RamLayout, readRamLayout } from "../qemu/ram-blocks.js";
import { VirtualCpus } from "../qemu/virtual-cpus.js";
import { GuardError } from "./guard-error.js";
import type { Journal } from "./journal.js";

/** How long QEMU may take for an answer before anything is touched. */
const PATIENCE_MS = 10_000;
/** How long for a machine check: behind a slow disk flush it is carried out in the end, and nobody may enter the guest before. */
const MACHINE_CHECK_MS = 30_000;

/** One VM's monitor. */
export class VirtualMachine {
  readonly #client: QmpClient;
  readonly #commands: QmpCommands;
  readonly #quiescer: Quiescer;
  readonly #cpus: VirtualCpus;
  /** QEMU's own. */
  readonly release: QemuRelease;
  #layout: RamLayout;
  #leftover: Promise<unknown> = Promise.resolve();

  private constructor(client: QmpClient, commands: QmpCommands, quiescer: Quiescer, layout: RamLayout) {
    this.release = client.version;
    this.#cpus = new VirtualCpus(commands);
    this.#client = client;
    this.#commands = commands;
    this.#quiescer = quiescer;
    this.#layout = layout;
    // Memory may have been plugged in or out: QEMU tells so, or the connection was away when it did.
    const refresh = (): void => void this.lookAgain();
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

  /** Learns the guest's layout and its virtual CPUs anew, as far as QEMU tells. Its threads must be able to run. Never rejects. */
  async lookAgain(): Promise<void> {
    await Promise.all([this.#refresh(), this.#cpus.refresh().catch(() => {})]);
  }

  /** QEMU's index of the virtual CPU that a thread runs. @param tid in QEMU's own pid namespace */
  cpuIndexOf(tid: number): number | undefined {
    return this.#cpus.indexOf(tid);
  }

  /**
   * Tells the guest of a lost page by a machine check, and QEMU's list of them nothing. The thread of that virtual CPU must be able to
   * run, but not enter the guest.
   *
   * @param cpuIndex from cpuIndexOf
   * @param gpa first byte of the page
   * @throws QemuError; if it was no refusal, QEMU may have done it all the same
   */
  async injectMachineCheck(cpuIndex: number, gpa: Gpa): Promise<MachineCheckOutcome> {
    const inject = (broadcast: boolean): Promise<MachineCheckOutcome> =>
      injectMachineCheck(
        this.#client,
        this.#commands,
        { cpuIndex, gpa, broadcast },
        { timeoutMs: MACHINE_CHECK_MS },
      );
    try {
      const outcome = await inject(this.#cpus.broadcasts);
      if (outcome.kind !== "no-broadcast") return outcome;
      this.#cpus.neverBroadcast();
      return await inject(false);
    } catch (error) {
      // Not to be carried out when nobody expects it any more.
      if (error instanceof QemuError && error.code === "HM_QMP_TIMEOUT") this.#client.renew();
      throw error;
    }
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

  /** Calls back when the connection was away: events may have been missed. */
  onReconnect(listener: () => void): void {
    this.#client.onReconnect(listener);
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
