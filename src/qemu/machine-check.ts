/**
 * Has QEMU inject the machine check of a lost page into the guest, as its own SIGBUS handler would, but by an order (HMP `mce`): so
 * the page does not get on QEMU's list of poisoned pages, at which QEMU before 10.0 ends at the next reset.
 *
 * Values: QEMU 7.2, target/i386/kvm/kvm.c kvm_mce_inject(), for "action required"; bits: target/i386/cpu.h. Both ways end in
 * cpu_x86_inject_mce().
 */

import { type Gpa, hex } from "../linux/address.js";
import type { QmpCommands } from "./qmp-commands.js";
import type { ExecuteOptions, QmpExecutor } from "./qmp-connection.js";
import type { QmpEvent } from "./qmp-events.js";

/** One machine check. */
export interface MachineCheck {
  /** QEMU's index of the virtual CPU whose access it was. */
  readonly cpuIndex: number;
  /** First byte of the lost 4 KiB. */
  readonly gpa: Gpa;
  /** Whether the other virtual CPUs get one as well, which says no more than that there was one. */
  readonly broadcast: boolean;
}

/** What came of it. `reset`: the guest cannot take it now, so QEMU resets the guest, as it would have by itself. */
export type MachineCheckOutcome =
  | { readonly kind: "injected" }
  | { readonly kind: "reset" }
  | { readonly kind: "no-broadcast" }
  | { readonly kind: "refused"; readonly answer: string };

const BANK = 9;
/** VAL, UC, EN, MISCV, ADDRV, S, AR, and the code of a load that hit memory (data cache, level 0). */
const STATUS = 0xbd80_0000_0000_0134n;
/** RIPV, EIPV, MCIP. */
const GLOBAL_STATUS = 7;
/** The address is physical, and exact to 4 KiB. */
const MISC = 0x8cn;

/** @returns the line for QEMU's human monitor (QEMU: hmp-commands.hx, `mce`) */
export function machineCheckLine({ cpuIndex, gpa, broadcast }: MachineCheck): string {
  const all = broadcast ? "-b " : "";
  return `mce ${all}${cpuIndex} ${BANK} ${hex(STATUS)} ${GLOBAL_STATUS} ${hex(gpa)} ${hex(MISC)}`;
}

/**
 * An answer without text is no proof: for a virtual CPU that is not there QEMU says nothing. The event is
 * (target/i386/helper.c, do_inject_x86_mce()), and it comes before the answer.
 *
 * @param answer the monitor's
 * @param events every MEMORY_FAILURE between order and answer
 */
export function outcomeOf(answer: string, events: readonly QmpEvent[]): MachineCheckOutcome {
  for (const { data } of events) {
    const { recipient, action, flags } = data;
    const required = typeof flags === "object" && flags !== null && "action-required" in flags;
    if (recipient !== "guest" || !required || flags["action-required"] !== true) continue;
    if (action === "inject") return { kind: "injected" };
    if (action === "reset") return { kind: "reset" };
  }
  if (answer.includes("does not support MCA broadcast")) return { kind: "no-broadcast" };
  return { kind: "refused", answer: answer.trim().slice(0, 200) };
}

/**
 * Gives the order and waits for it to be carried out, which takes the virtual CPU's own thread: it must be able to run, but must not
 * enter the guest before.
 *
 * @throws QemuError of QmpExecutor.execute; after HM_QMP_TIMEOUT it may still be carried out
 */
export async function injectMachineCheck(
  executor: QmpExecutor,
  commands: QmpCommands,
  check: MachineCheck,
  options: ExecuteOptions,
): Promise<MachineCheckOutcome> {
  const events: QmpEvent[] = [];
  const ignore = executor.on("MEMORY_FAILURE", (event) => events.push(event));
  try {
    return outcomeOf(await commands.humanMonitor(machineCheckLine(check), options), events);
  } finally {
    ignore();
  }
}
