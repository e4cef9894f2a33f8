/**
 * One VM's guard, complete on its own: attaches, waits for memory errors, walks each of them (memory-error.ts), lets go.
 */

import { hex } from "../linux/address.js";
import { closeDescriptor, openProcess } from "../linux/pidfd.js";
import { readRelease, salvageSupport } from "../linux/procfs/kernel-version.js";
import { readMaps } from "../linux/procfs/maps.js";
import { readStat } from "../linux/procfs/stat.js";
import type { BusError } from "../linux/signal-info.js";
import type { LossRoute } from "../qemu/qemu-release.js";
import { spareFor } from "../recovery/fill-choice.js";
import { readHazards } from "../recovery/hazards.js";
import { PopulatedSpare } from "../recovery/populated-spare.js";
import { Spare } from "../recovery/spare.js";
import { type GoneReason, Tracee } from "../tracee/tracee.js";
import { BusMasks } from "./bus-masks.js";
import type { GuardContext, GuardPolicy, GuardStep } from "./guard-context.js";
import { GuardError } from "./guard-error.js";
import type { Journal } from "./journal.js";
import { KillPolicy } from "./kill-policy.js";
import { finishLeft } from "./lazy/finish-fill.js";
import { LazyFills } from "./lazy/lazy-fills.js";
import { adoptFills, takeLeftUserfaultfds } from "./lazy/left-fills.js";
import { tellLeftBehind } from "./left-behind.js";
import type { LossTelling } from "./loss-telling.js";
import { OwnTouches } from "./own-touches.js";
import { prepareFirstSpares, removeSpares } from "./prepare-spares.js";
import { ProcessView } from "./process-view.js";
import { RamDescriptors } from "./ram-descriptors.js";
import { readRamTable, rememberAttributes } from "./ram-table.js";
import { Refusals } from "./refusals.js";
import { rehearse } from "./rehearse.js";
import { type LeftPages, ReplacedPages } from "./replaced-pages.js";
import { SharerWatch } from "./sharer-watch.js";
import { pinnedWarnings, tellSharers } from "./sharing-warnings.js";
import { Spares } from "./spares.js";
import { StaleStops } from "./stale-stop.js";
import { lookAgainLater, tellState } from "./start-words.js";
import { takeInventory, tidyUp } from "./takeover.js";
import { TouchLog } from "./touch-log.js";
import { finishHeals } from "./unfinished-heals.js";
import { UntouchedErrors } from "./untouched/untouched-errors.js";
import type { VirtualMachine } from "./virtual-machine.js";
import { Walk } from "./walk.js";

/** What can be exchanged to try a guard on a machine whose memory cannot be made to fail. Never set in production. */
export interface GuardTrial {
  /** Where a large page is read instead of its file. */
  readonly sourceOf?: GuardContext["sourceOf"];
  /** Whether a large page that reads without an error is replaced as well. */
  readonly acceptsIntact?: boolean;
  /** Whether large pages are replaced eagerly without a spare: as when the next one is not ready yet. */
  readonly withoutPopulated?: boolean;
  /** How QEMU learns of lost pages, whatever its release. */
  readonly lossRoute?: LossRoute;
  /** What a SIGBUS means: a kernel without CONFIG_MEMORY_FAILURE reports poison markers as BUS_ADRERR. */
  readonly interpret?: (error: BusError) => BusError;
  /** Called at each named point of the walk. */
  readonly onStep?: (step: GuardStep) => void;
  /** Offsets in every large page that are called bad whatever its file says. */
  readonly pretendBad?: readonly number[];
  /** What the kernel is said to have reported. */
  readonly reportedBad?: GuardContext["reportedBad"];
}

/** What a guard works with. */
export interface GuardComponents {
  readonly journal: Journal;
  /** Absent without a QMP socket. */
  readonly vm: VirtualMachine | undefined;
  readonly telling: LossTelling;
  /** What earlier guards have left, from the ledger. */
  readonly left: LeftPages;
  readonly trial?: GuardTrial | undefined;
}

/** A process id may be given to another process; the start time tells them apart. */
export interface GuardedProcess {
  readonly pid: number;
  /** Clock ticks since boot (field 22 of proc_pid_stat(5)). */
  readonly startTime: bigint;
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

/** How often a guard without a monitor looks whether the guest was reset, while anything is lost. */
const LOOK_FOR_RESETS_MS = 1000;

/** Why a guard ended. */
export type GuardEnd = GoneReason | "stopped";

/** See the head of the file. */
export class Guard {
  readonly #context: GuardContext;
  readonly #untouched: UntouchedErrors;
  readonly #killPolicy: KillPolicy;
  readonly #walk: Walk;
  #looks: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;
  #closed = false;
  #end: ((end: GuardEnd) => void) | undefined;
  /** Settles when the process is gone or `stop` was called. */
  readonly ended: Promise<GuardEnd>;

  private constructor(
    context: Omit<GuardContext, "waiting">,
    untouched: UntouchedErrors,
    killPolicy: KillPolicy,
  ) {
    this.#untouched = untouched;
    this.#killPolicy = killPolicy;
    this.#walk = new Walk(context, untouched);
    this.#context = this.#walk.context;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /**
   * Attaches to a process and tells `ready`.
   *
   * @param process a QEMU process
   * @throws TraceeError, LinuxError, GuardError: nothing is traced, or ends being traced with this process
   */
  static start(components: GuardComponents, { pid, startTime }: GuardedProcess, policy: GuardPolicy): Guard {
    const { journal, telling, vm, left: earlier, trial = {} } = components;
    const { onStep = (): void => {} } = trial;
    // Whatever takes long is read before the first thread is seized: a signal for QEMU would have to wait for us.
    const ram = readRamTable(pid, readMaps(pid));
    const pinned = pinnedWarnings(readHazards(pid));
    const attributesOf = rememberAttributes(pid, ram);
    const files = ram.map(({ mapping }) => mapping);
    const ramDescriptors = new RamDescriptors(pid, files);
    const sharers = new SharerWatch(pid, files);
    sharers.start();
    const kernel = readRelease();
    const mayRecover =
      salvageSupport(kernel) === "ok" && pinned.length === 0 && files.some((one) => one.shared);
    const opened: { tracee?: Tracee; processDescriptor?: number; killPolicy?: KillPolicy; guard?: Guard } =
      {};
    const wake = (): void => {
      if (opened.guard !== undefined) opened.guard.#walk.wake();
    };
    const untouched = new UntouchedErrors(pid, wake);
    try {
      const warnings = untouched.start(kernel, (warning) => journal.tell(warning));
      const processDescriptor = openProcess(pid);
      opened.processDescriptor = processDescriptor;
      const left = takeLeftUserfaultfds(pid, processDescriptor);
      const tracee = Tracee.attach(pid);
      opened.tracee = tracee;
      refuseSuccessor(pid, startTime);
      const inventory = takeInventory(tracee);
      const killPolicy = new KillPolicy(tracee);
      opened.killPolicy = killPolicy;
      // Where every recovery is refused, early warnings are all that QEMU can get.
      killPolicy.begin(mayRecover && telling.route === "monitor");
      const guard = new Guard(
        {
          pid,
          view: new ProcessView(pid),
          tracee,
          processDescriptor,
          journal,
          vm,
          policy,
          kernel,
          sharers,
          busHandler: inventory.busHandler,
          busMasks: new BusMasks(inventory.busMasks),
          attributesOf,
          refused: new Refusals(),
          replaced: new ReplacedPages(earlier, () => {
            if (opened.guard !== undefined) opened.guard.#lookForResets();
          }),
          stale: new StaleStops(),
          ownTouches: new OwnTouches(),
          telling,
          touches: new TouchLog(),
          sourceOf: trial.sourceOf,
          acceptsIntact: trial.acceptsIntact ?? false,
          spares: new Spares(
            (remote, kind) => Spare.prepare(remote, { ...kind, processDescriptor, onStep }),
            ram.filter(({ pageSize }) => spareFor(policy, pageSize) === "empty"),
            attributesOf,
          ),
          populated: new Spares(
            (remote, kind) => PopulatedSpare.prepare(remote, { ...kind, processDescriptor, onStep }),
            trial.withoutPopulated === true
              ? []
              : ram.filter(({ pageSize }) => spareFor(policy, pageSize) === "populated"),
            attributesOf,
          ),
          ramDescriptors,
          fills: new LazyFills(pid, processDescriptor, policy, {
            wake,
            abandoned: (theirs) => {
              if (opened.guard !== undefined) opened.guard.#closeLater(theirs);
            },
            trouble: ({ base }, code, message) =>
              journal.tell({
                event: "warning",
                code,
                message: `The replacement at ${hex(base)}: ${message}`,
              }),
          }),
          reportedBad: trial.reportedBad ?? ((page) => untouched.badIn(page)),
          pretendBad: trial.pretendBad ?? [],
          lookForResets: () => {
            if (opened.guard !== undefined) opened.guard.#walk.lookForResets();
          },
          later: (chore) => {
            if (opened.guard !== undefined) opened.guard.#walk.later(async () => chore());
          },
          onStep,
        },
        untouched,
        killPolicy,
      );
      const interpret = trial.interpret ?? ((error: BusError) => error);
      tracee.start({
        busError: (held, error) => guard.#walk.add(held, interpret(error)),
        gone: (reason) => void guard.#gone(reason),
      });
      guard.#listenForResets();
      for (const warning of [...warnings, ...pinned]) journal.tell(warning);
      sharers.announce((names) => tellSharers(journal, pid, names));
      opened.guard = guard;
      adoptFills(guard.#context, inventory.placed, left);
      prepareFirstSpares(guard.#context);
      tellState(guard.#context, inventory, ram);
      // Threads that could not be stopped at the start.
      lookAgainLater(guard.#context, () => {
        if (!guard.#closed) guard.#walk.ifIdle(() => killPolicy.again());
      });
      guard.#walk.wake();
      rehearse(guard.#context, ram, () => guard.#closed);
      return guard;
    } catch (error) {
      opened.killPolicy?.restore();
      opened.tracee?.detach();
      untouched[Symbol.dispose]();
      sharers[Symbol.dispose]();
      if (opened.processDescriptor !== undefined) closeDescriptor(opened.processDescriptor);
      throw error;
    }
  }

  #listenForResets(): void {
    const { vm } = this.#context;
    vm?.onReset(() => this.#walk.guestWasReset());
    vm?.onReconnect(() => this.#walk.lookForResets());
    this.#lookForResets();
  }

  #closeLater(theirs: number): void {
    const { later, tracee } = this.#context;
    later(() => {
      try {
        // SAFETY: a descriptor of ours in the VM, which nothing there knows of, and which watches nothing any more.
        tracee.withAny((remote) => remote.call("close", theirs));
      } catch {
        // The VM has ended, or the next guard closes it.
      }
    });
  }

  /** Without a monitor nobody tells. At rest, with nothing lost, there is nothing to wake up for. */
  #lookForResets(): void {
    const { replaced, vm } = this.#context;
    if (vm !== undefined || this.#looks !== undefined || this.#closed || !replaced.anyPending) return;
    this.#looks = setTimeout(() => {
      this.#looks = undefined;
      this.#walk.lookForResets();
      this.#lookForResets();
    }, LOOK_FOR_RESETS_MS).unref();
  }

  /**
   * Carries on where a dead guard was putting large pages back, as soon as no thread stands at an error.
   *
   * @param left from the ledger
   * @param then called right afterwards, before any other work begins
   */
  finishHeals(left: LeftPages, then: () => void): void {
    const heal = (): void =>
      this.#walk.later(async () => {
        await finishHeals(this.#context, left);
        then();
      });
    const { fills } = this.#context;
    // What is not there yet cannot be copied. Whoever stops at an error meanwhile need not wait for that.
    if (fills.any) void fills.finishAll().then(heal);
    else heal();
  }

  async #gone(reason: GoneReason): Promise<void> {
    await this.#close(reason === "exec" ? "the process became another program" : "the process ended");
    this.#end?.(reason);
  }

  /**
   * Lets go of the VM. Threads that wait repeat their access. May be called again while it is under way.
   *
   * @param reason for the ledger, such as `SIGTERM`
   */
  stop(reason: string): Promise<void> {
    this.#stopping ??= this.#letGo(reason);
    return this.#stopping;
  }

  async #letGo(reason: string): Promise<void> {
    this.#untouched[Symbol.dispose]();
    // What stops from now on is let go below.
    await this.#walk.end();
    this.#killPolicy.restore();
    removeSpares(this.#context);
    this.#walk.bounce();
    this.#context.tracee.detach();
    // Nobody else gives a page to whoever waits for it.
    if (await finishLeft(this.#context)) tidyUp(this.#context.pid);
    tellLeftBehind(this.#context);
    await this.#close(reason);
    this.#end?.("stopped");
  }

  async #close(reason: string): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#looks);
    const { journal, processDescriptor, sharers, view, vm } = this.#context;
    this.#untouched[Symbol.dispose]();
    sharers[Symbol.dispose]();
    view[Symbol.dispose]();
    closeDescriptor(processDescriptor);
    await vm?.close();
    journal.tell({ event: "detached", reason });
    journal.close();
  }
}
