/**
 * One VM's guard, complete on its own: attaches, waits for memory errors, walks each of them (memory-error.ts), lets go.
 */

import { closeDescriptor } from "../linux/pidfd.js";
import type { BusError } from "../linux/signal-info.js";
import type { GoneReason } from "../tracee/tracee.js";
import { attach, type GuardComponents, type GuardedProcess, letGo } from "./attach.js";
import { createContext } from "./create-context.js";
import type { GuardContext, GuardPolicy } from "./guard-context.js";
import { resetWasMissed } from "./heal-after-reset.js";
import type { KillPolicy } from "./kill-policy.js";
import { finishLeft } from "./lazy/finish-fill.js";
import { adoptFills } from "./lazy/left-fills.js";
import { tellLeftBehind } from "./left-behind.js";
import { prepareFirstSpares, removeSpares } from "./prepare-spares.js";
import { rehearse } from "./rehearse.js";
import type { LeftPages } from "./replaced-pages.js";
import { tellSharers } from "./sharing-warnings.js";
import { lookAgainLater, tellState } from "./start-words.js";
import { tidyUp } from "./takeover.js";
import { finishHeals } from "./unfinished-heals.js";
import type { UntouchedErrors } from "./untouched/untouched-errors.js";
import { Walk } from "./walk.js";

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
  static start(components: GuardComponents, process: GuardedProcess, policy: GuardPolicy): Guard {
    const { journal, trial = {} } = components;
    const { pid } = process;
    let guard: Guard | undefined;
    const whenStarted = (action: (guard: Guard) => void): void => {
      if (guard !== undefined) action(guard);
    };
    const wake = (): void => whenStarted((started) => started.#walk.wake());
    const attached = attach(components, process, wake);
    const { inventory, killPolicy, left, ram, sharers, tracee, untouched, warnings } = attached;
    try {
      const context = createContext(pid, components, attached, policy, {
        wake,
        lostChanged: () => whenStarted((started) => started.#lookForResets()),
        lookForResets: () => whenStarted((started) => started.#walk.lookForResets()),
        later: (chore) => whenStarted((started) => started.#walk.later(async () => chore())),
      });
      const started = new Guard(context, untouched, killPolicy);
      const interpret = trial.interpret ?? ((error: BusError) => error);
      tracee.start({
        busError: (held, error) => started.#walk.add(held, interpret(error)),
        gone: (reason) => void started.#gone(reason),
      });
      started.#listenForResets();
      for (const warning of warnings) journal.tell(warning);
      sharers.announce((names) => tellSharers(journal, pid, names));
      guard = started;
      adoptFills(guard.#context, inventory, left);
      prepareFirstSpares(guard.#context);
      tellState(guard.#context, inventory, ram);
      // Threads that could not be stopped at the start.
      lookAgainLater(guard.#context, () => {
        if (!started.#closed) started.#walk.ifIdle(() => killPolicy.again());
      });
      guard.#walk.wake();
      rehearse(guard.#context, ram, () => started.#closed);
      return guard;
    } catch (error) {
      letGo(attached);
      throw error;
    }
  }

  #listenForResets(): void {
    const { vm } = this.#context;
    vm?.onReset(() => this.#walk.guestWasReset());
    vm?.onReconnect(() => this.#walk.lookForResets());
    this.#lookForResets();
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
   * Carries on where a dead guard was putting large pages back, as soon as no thread stands at an error and nothing is being filled.
   *
   * @param left from the ledger
   * @param then called right afterwards, before any other work begins; at once if something is being filled
   */
  finishHeals(left: LeftPages, then: () => void): void {
    const context = this.#context;
    const heal = (): Promise<void> => finishHeals(context, left);
    this.#walk.later(async () => {
      if (!context.fills.any) await heal();
      else if (left.openHeals.length > 0 || resetWasMissed(context)) this.#whenFilled(heal);
      then();
    });
  }

  /** What is not there yet cannot be copied. Whoever stops at an error meanwhile need not wait for that, nor at the next page that is begun. */
  #whenFilled(heal: () => Promise<void>): void {
    const { fills } = this.#context;
    const again = async (): Promise<void> => (fills.any ? this.#whenFilled(heal) : await heal());
    void fills.finishAll().then(() => this.#walk.later(again));
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
    this.#context.tracee.lookForAdrift();
    this.#killPolicy.restore();
    removeSpares(this.#context);
    this.#walk.bounce();
    this.#context.tracee.detach();
    // Nobody else gives a page to whoever waits for it.
    const anyFilled = await finishLeft(this.#context);
    if (anyFilled || this.#context.closes.any) tidyUp(this.#context.pid);
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
