/** The first half of a guard's start: what has to be known before a thread of the VM is seized, and the seizing. */

import { closeDescriptor, openProcess } from "../linux/pidfd.js";
import { readRelease, salvageSupport } from "../linux/procfs/kernel-version.js";
import type { HugetlbMapping } from "../linux/procfs/map-files.js";
import { readMaps } from "../linux/procfs/maps.js";
import { readStat } from "../linux/procfs/stat.js";
import { readHazards } from "../recovery/hazards.js";
import { Tracee } from "../tracee/tracee.js";
import type { GuardContext } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import type { GuardTrial } from "./guard-trial.js";
import type { Journal } from "./journal.js";
import { KillPolicy } from "./kill-policy.js";
import { type LeftUserfaultfds, takeLeftUserfaultfds } from "./lazy/left-fills.js";
import type { LossTelling } from "./loss-telling.js";
import { RamDescriptors } from "./ram-descriptors.js";
import { readRamTable, rememberAttributes } from "./ram-table.js";
import type { LeftPages } from "./replaced-pages.js";
import { SharerWatch } from "./sharer-watch.js";
import { pinnedWarnings } from "./sharing-warnings.js";
import { type Inventory, takeInventory } from "./takeover.js";
import { UntouchedErrors } from "./untouched/untouched-errors.js";
import type { VirtualMachine } from "./virtual-machine.js";

/** What a guard works with. */
export interface GuardComponents {
  readonly journal: Journal;
  /** Absent without a QMP socket. */
  readonly vm: VirtualMachine | undefined;
  readonly telling: LossTelling;
  /** What earlier guards have left, from the ledger. */
  readonly left: LeftPages;
  /** Serves whoever waits for a page while the guard attaches. */
  readonly meanwhile: () => void;
  readonly trial?: GuardTrial | undefined;
}

/** A process id may be given to another process; the start time tells them apart. */
export interface GuardedProcess {
  readonly pid: number;
  /** Clock ticks since boot (field 22 of proc_pid_stat(5)). */
  readonly startTime: bigint;
}

/** A VM whose threads are seized. */
export interface Attached
  extends Pick<GuardContext, "attributesOf" | "kernel" | "ramDescriptors" | "sharers"> {
  /** What the VM maps on large pages. */
  readonly ram: readonly HugetlbMapping[];
  /** To be told. */
  readonly warnings: readonly Parameters<Journal["tell"]>[0][];
  readonly untouched: UntouchedErrors;
  /** pidfd of the VM. */
  readonly processDescriptor: number;
  /** What a dead guard has left unfilled. */
  readonly left: LeftUserfaultfds;
  readonly tracee: Tracee;
  readonly inventory: Inventory;
  readonly killPolicy: KillPolicy;
}

type Held = Pick<Attached, "killPolicy" | "processDescriptor" | "sharers" | "tracee" | "untouched">;
type Opened = { -readonly [Key in keyof Held]?: Held[Key] };

/**
 * @param wake called when there is an error that nobody has touched yet
 * @throws TraceeError, LinuxError, GuardError: nothing is traced, or ends being traced with this process
 */
export function attach(
  { journal, meanwhile, telling }: GuardComponents,
  { pid, startTime }: GuardedProcess,
  wake: () => void,
): Attached {
  // Whatever takes long is read before the first thread is seized: a signal for QEMU would have to wait for us.
  const ram = readRamTable(pid, readMaps(pid));
  const pinned = pinnedWarnings(readHazards(pid));
  const attributesOf = rememberAttributes(pid, ram);
  const files = ram.map(({ mapping }) => mapping);
  const ramDescriptors = new RamDescriptors(pid, files);
  const kernel = readRelease();
  const mayRecover =
    salvageSupport(kernel) === "ok" && pinned.length === 0 && files.some((one) => one.shared);
  const sharers = new SharerWatch(pid, files);
  const untouched = new UntouchedErrors(pid, wake);
  const opened: Opened = { sharers, untouched };
  try {
    sharers.start();
    const warnings = [...untouched.start(kernel, (warning) => journal.tell(warning)), ...pinned];
    const processDescriptor = openProcess(pid);
    opened.processDescriptor = processDescriptor;
    const left = takeLeftUserfaultfds(pid, processDescriptor);
    const tracee = Tracee.attach(pid);
    opened.tracee = tracee;
    refuseSuccessor(pid, startTime);
    const inventory = takeInventory(tracee, meanwhile);
    const killPolicy = new KillPolicy(tracee);
    opened.killPolicy = killPolicy;
    // Where every recovery is refused, early warnings are all that QEMU can get.
    killPolicy.begin(mayRecover && telling.route === "monitor");
    return {
      ram,
      attributesOf,
      ramDescriptors,
      kernel,
      sharers,
      untouched,
      warnings,
      processDescriptor,
      left,
      tracee,
      inventory,
      killPolicy,
    };
  } catch (error) {
    letGo(opened);
    throw error;
  }
}

/** Undoes {@link attach}, as far as it came. */
export function letGo({ killPolicy, processDescriptor, sharers, tracee, untouched }: Opened): void {
  killPolicy?.restore();
  tracee?.detach();
  untouched?.[Symbol.dispose]();
  sharers?.[Symbol.dispose]();
  if (processDescriptor !== undefined) closeDescriptor(processDescriptor);
}

function refuseSuccessor(pid: number, startTime: bigint): void {
  const now = readStat(pid).startTime;
  if (now === startTime) return;
  throw new GuardError("HM_GUARD_OTHER_PROCESS", `Process ${pid} is no longer the one that was looked at`, {
    present: `started at tick ${now}`,
    expected: `started at tick ${startTime}`,
    remedy: "The VM has ended and its id was given to another process; look up the new id",
  });
}
