/** Puts a guard together: everything is checked and opened before the VM is touched. */

import { readFileSync } from "node:fs";
import { HugemendError, messageOf } from "../errors.js";
import { LEDGER_FORMAT } from "../ledger/internal-events.js";
import type { LedgerWriter } from "../ledger/ledger-writer.js";
import { openLedger } from "../ledger/open-ledger.js";
import { replayLedger } from "../ledger/replay.js";
import { poisonLack } from "../linux/hwpoison.js";
import { isQemu, readExecutable } from "../linux/procfs/process-identity.js";
import { type ProcessStat, readStat } from "../linux/procfs/stat.js";
import { readStatus } from "../linux/procfs/status.js";
import { programRelease } from "../qemu/program-release.js";
import type { FillChoice } from "../recovery/fill-choice.js";
import type { QuiescePolicy, ShortMemoryPolicy } from "../recovery/plan.js";
import type { PoisonMethod } from "../recovery/swap.js";
import { findGadgets } from "../tracee/gadgets.js";
import { refuseExempt } from "./exemption.js";
import { Guard } from "./guard.js";
import { GuardError } from "./guard-error.js";
import type { GuardTrial } from "./guard-trial.js";
import { type EventSink, Journal } from "./journal.js";
import { EarlyFills } from "./lazy/early-fills.js";
import { LossTelling } from "./loss-telling.js";
import { tellHost } from "./tell-host.js";
import { VirtualMachine } from "./virtual-machine.js";

/** What `hugemend guard` is told. */
export interface OpenGuardOptions {
  readonly pid: number;
  /** Path of a QMP socket. */
  readonly qmp: string | undefined;
  /** Folder of the ledger. */
  readonly ledger: string;
  readonly quiesce: QuiescePolicy;
  /** `uffd` unless said otherwise. */
  readonly poisonWith?: PoisonMethod;
  readonly fill: FillChoice;
  /** MiB a second in the background; Infinity unless said otherwise; 0: only what is touched. */
  readonly fillRate?: number;
  /** Whether poisoned pages go back to the kernel once their replacement is full; not unless said so. */
  readonly giveBack?: boolean;
  /** `refuse` unless said otherwise. */
  readonly whenShort?: ShortMemoryPolicy;
  readonly sink: EventSink;
  readonly trial?: GuardTrial | undefined;
}

/**
 * Checks the input, opens ledger and QMP, attaches.
 *
 * @throws HugemendError of whatever is wrong; the VM is untouched
 */
export async function openGuard(options: OpenGuardOptions): Promise<Guard> {
  const { pid } = options;
  const { startTime } = readLiving(pid);
  refuseOthers(pid);
  const pretendBad = options.trial?.pretendBad ?? [];
  using early = new EarlyFills(pid, pretendBad);
  try {
    refuseExempt(pid);
    if (options.poisonWith === "hwpoison") refuseWithoutPoison();
    return await prepareGuard(options, startTime, early);
  } catch (error) {
    early[Symbol.dispose]();
    using late = new EarlyFills(pid, pretendBad);
    if (!(await late.finish(options.trial?.fillPatienceMs))) options.sink(unfilled);
    throw error;
  }
}

async function prepareGuard(options: OpenGuardOptions, startTime: bigint, early: EarlyFills): Promise<Guard> {
  const { pid, sink } = options;
  const ledger = openLedger(options.ledger, { pid, startTime: startTime.toString() });
  try {
    const journal = new Journal({ ledger, sink });
    const before = replayLedger(ledger.history, readBootId());
    const vm =
      options.qmp === undefined ? undefined : await VirtualMachine.connect(pid, options.qmp, journal);
    try {
      findGadgets(pid);
      recordAttachment(ledger, pid, startTime);
      if (ledger.tornTail !== null) journal.tell(tornWarning(ledger.path, ledger.tornTail.bytes));
      if (vm === undefined) journal.tell(noQmp);
      // A trial brings its own errors.
      if (options.trial === undefined) await tellHost(journal);
      const telling = new LossTelling({
        journal,
        release: vm === undefined ? programRelease(pid) : vm.release,
        hasMonitor: vm !== undefined,
        route: options.trial?.lossRoute,
      });
      if (telling.warning !== undefined) journal.tell(telling.warning);
      if (telling.route === "monitor") await vm?.lookAgain();
      const meanwhile = (): void => early.serve();
      const guard = Guard.start(
        { journal, vm, telling, left: before, meanwhile, trial: options.trial },
        { pid, startTime },
        {
          quiesce: options.quiesce,
          poisonWith: options.poisonWith ?? "uffd",
          fill: options.fill,
          fillRate: options.fillRate ?? Number.POSITIVE_INFINITY,
          whenShort: options.whenShort ?? "refuse",
          giveBack: options.giveBack ?? false,
        },
      );
      // The guard has taken the fills over, and woken all who wait.
      early[Symbol.dispose]();
      // Large pages first: a VM that stands already needs no second pause, and the guest never meets what is lost no more.
      guard.finishHeals(before, () => {
        if (before.openPause !== null && vm !== undefined) void endLeftPause(vm, journal);
      });
      return guard;
    } catch (error) {
      await vm?.close();
      throw error;
    }
  } catch (error) {
    ledger.close();
    throw error;
  }
}

/** A guard died while it held the VM. The VM is guarded again, so whatever it runs into is recovered. */
async function endLeftPause(vm: VirtualMachine, journal: Journal): Promise<void> {
  try {
    await vm.undoLeftover();
  } catch (error) {
    const code = error instanceof HugemendError ? error.code : "HM_INTERNAL";
    journal.tell({ event: "warning", code, message: messageOf(error) });
  }
}

const unfilled = {
  event: "warning",
  code: "HM_FILL",
  message:
    "A replacement that an earlier guard has left could not be filled. Whoever touches what is missing waits until another guard starts: " +
    "free memory on the host, or raise the limit of QEMU's control group, and start one",
} as const;

const noQmp = {
  event: "warning",
  code: "HM_QMP_NONE",
  message:
    "Without --qmp guest addresses are unknown, a VM with direct disk I/O cannot be recovered, and after a guest reset small pages stay",
} as const;

function tornWarning(path: string, bytes: number): { event: "warning"; code: string; message: string } {
  return {
    event: "warning",
    code: "HM_LEDGER_TORN",
    message: `The last line of the ledger ${path} had no end: ${bytes} bytes were cut off. Nothing was done because of them`,
  };
}

/** @throws GuardError HM_NO_SUCH_PROCESS; LinuxError */
function readLiving(pid: number): ProcessStat {
  let stat: ProcessStat | undefined;
  try {
    stat = readStat(pid);
  } catch (error) {
    if (!isGoneFile(error)) throw error;
  }
  if (stat !== undefined && stat.state !== "X" && !(stat.state === "Z" && readStatus(pid).threads <= 1))
    return stat;
  throw new GuardError("HM_NO_SUCH_PROCESS", `There is no process ${pid}`, {
    present:
      stat === undefined ? "no such id" : "a process that has ended and waits for its parent to notice",
    expected: "the id of a running QEMU process",
    remedy: "`pgrep -a qemu` lists candidates",
  });
}

/** @throws GuardError HM_PROC_DENIED */
function looksLikeQemu(pid: number): boolean {
  try {
    return isQemu(pid);
  } catch (error) {
    if (!(error instanceof HugemendError && error.code === "HM_PROC_DENIED")) throw error;
    const first = pid === 1 ? ", the first process of this system," : "";
    throw new GuardError(error.code, `Process ${pid} (${readStat(pid).comm})${first} may not be looked at`, {
      present: `effective user ${process.geteuid?.() ?? "?"}`,
      expected: "a QEMU process, and root with CAP_SYS_PTRACE on the host itself",
      remedy: "`pgrep -a qemu` lists candidates; `hugemend doctor --pid` tells which rule forbids it",
      cause: error,
    });
  }
}

function isGoneFile(error: unknown): boolean {
  return error instanceof HugemendError && error.code === "HM_PROC_GONE";
}

/** A kernel thread has no executable. */
function describeExecutable(pid: number): string {
  try {
    return readExecutable(pid);
  } catch (error) {
    if (!isGoneFile(error)) throw error;
    return `the kernel thread ${readStat(pid).comm}`;
  }
}

/** @throws GuardError HM_GUARD_NOT_QEMU, HM_GUARD_ALREADY_TRACED; LinuxError HM_PROC_GONE */
function refuseOthers(pid: number): void {
  const { tracerPid, tgid } = readStatus(pid);
  if (tgid !== pid) {
    throw new GuardError("HM_GUARD_THREAD", `${pid} is a thread, not a process`, {
      expected: `its process id ${tgid}`,
    });
  }
  if (!looksLikeQemu(pid)) {
    throw new GuardError("HM_GUARD_NOT_QEMU", `Process ${pid} is not QEMU`, {
      present: describeExecutable(pid),
      expected: "qemu-system-…, qemu-kvm or kvm, or a process that owns a KVM virtual machine",
      remedy: "`pgrep qemu` lists candidates",
    });
  }
  if (tracerPid !== 0) {
    throw new GuardError("HM_GUARD_ALREADY_TRACED", `Process ${pid} is traced already`, {
      present: `traced by process ${tracerPid}`,
      expected: "no tracer",
      remedy:
        "A process has one tracer at a time: end that one (another guard, gdb, strace, CRIU) and try again",
    });
  }
}

/** @throws GuardError HM_GUARD_NO_HWPOISON */
function refuseWithoutPoison(): void {
  const lack = poisonLack();
  if (lack === undefined) return;
  throw new GuardError(
    "HM_GUARD_NO_HWPOISON",
    "Lost pages cannot be marked with --poison-with hwpoison here",
    {
      expected: lack,
      remedy: "Use --poison-with uffd, which is the default",
    },
  );
}

function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** The first record, on the disk before anything is touched: it shows a ledger that cannot be written while that still costs nothing. */
function recordAttachment(ledger: LedgerWriter, pid: number, startTime: bigint): void {
  ledger.append({
    event: "attached",
    format: LEDGER_FORMAT,
    pid,
    startTime: startTime.toString(),
    bootId: readBootId(),
    guardPid: process.pid,
    version: "0.1.0",
  });
  ledger.sync();
}
