/** What every step of the walk works with. */

import type { Fill, Trigger } from "../ledger/events.js";
import type { Hva } from "../linux/address.js";
import type { KernelRelease } from "../linux/procfs/kernel-version.js";
import type { Mapping } from "../linux/procfs/maps.js";
import type { FillChoice } from "../recovery/fill-choice.js";
import type { HealStep } from "../recovery/heal.js";
import type { LargePage } from "../recovery/large-page.js";
import type { PageSource } from "../recovery/large-page-reader.js";
import type { LazySwapStep } from "../recovery/lazy-swap.js";
import type { QuiescePolicy, ShortMemoryPolicy } from "../recovery/plan.js";
import type { PopulatedSpare, PopulatedSpareStep } from "../recovery/populated-spare.js";
import type { PopulatedSwapStep } from "../recovery/populated-swap.js";
import type { RamAttributes } from "../recovery/ram-attributes.js";
import type { Spare, SpareStep } from "../recovery/spare.js";
import type { PoisonMethod, SwapStep } from "../recovery/swap.js";
import type { HeldThread } from "../tracee/held-thread.js";
import type { Tracee } from "../tracee/tracee.js";
import type { BusMasks } from "./bus-masks.js";
import type { Journal } from "./journal.js";
import type { LateCloses } from "./late-closes.js";
import type { LazyFills } from "./lazy/lazy-fills.js";
import type { LossTelling } from "./loss-telling.js";
import type { OwnTouches } from "./own-touches.js";
import type { ProcessView } from "./process-view.js";
import type { RamDescriptors } from "./ram-descriptors.js";
import type { Refusals } from "./refusals.js";
import type { ReplacedPages } from "./replaced-pages.js";
import type { SharerWatch } from "./sharer-watch.js";
import type { Spares } from "./spares.js";
import type { StaleStops } from "./stale-stop.js";
import type { TouchLog } from "./touch-log.js";
import type { VirtualMachine } from "./virtual-machine.js";

/** What the user chose. */
export interface GuardPolicy {
  readonly quiesce: QuiescePolicy;
  /** `uffd` unless said otherwise. */
  readonly poisonWith?: PoisonMethod;
  readonly fill: FillChoice;
  /** Background filling, in MiB a second; Infinity without a limit; 0: only what is touched. */
  readonly fillRate: number;
  readonly whenShort: ShortMemoryPolicy;
  /** Whether the poisoned page leaves its file once its replacement is full. */
  readonly giveBack: boolean;
}

/** Named points of the walk outside of the swap. */
export const guardSteps = ["stopped", "planned", "paused", "released", "outcome-recorded"] as const;

/** Those that only the walk of an error nobody has touched has, before "planned". */
export const untouchedSteps = ["reported", "poison-found"] as const;

/** Named points of the return of large pages outside of the heal itself. */
export const resetSteps = [
  "reset-seen",
  "heal-recorded",
  "heal-paused",
  "advice-renewed",
  "heal-outcome-recorded",
] as const;

/** Named points of what happens when a thread touches a lost page of a guest that was reset. */
export const forgiveSteps = ["lost-forgiven"] as const;

/** Named points of a lazy recovery after the swap, those of the fill thread among them. */
export const lazySteps = [
  "fill-begun",
  "fill-unwatched",
  "range-joined",
  "fill-full",
  "fill-recorded",
  "fill-closed",
] as const;

/** Named points of giving a poisoned page back. */
export const giveBackSteps = ["return-recorded", "return-told"] as const;

/** Named points of handing a lost page over by QEMU's monitor. */
export const handOverSteps = ["loss-waiting", "loss-ordered", "loss-told"] as const;

/** Points of the walk at which a test may end the guard. */
export type GuardStep =
  | SwapStep
  | SpareStep
  | PopulatedSpareStep
  | PopulatedSwapStep
  | LazySwapStep
  | HealStep
  | (typeof guardSteps)[number]
  | (typeof untouchedSteps)[number]
  | (typeof lazySteps)[number]
  | (typeof giveBackSteps)[number]
  | (typeof resetSteps)[number]
  | (typeof handOverSteps)[number]
  | (typeof forgiveSteps)[number];

/** One VM's guard, as its steps see it. */
export interface GuardContext {
  readonly pid: number;
  /** What plans look at. */
  readonly view: ProcessView;
  readonly tracee: Tracee;
  /** pidfd of the VM. */
  readonly processDescriptor: number;
  readonly journal: Journal;
  readonly vm: VirtualMachine | undefined;
  readonly policy: GuardPolicy;
  readonly kernel: KernelRelease;
  readonly sharers: SharerWatch;
  /** QEMU's own SIGBUS handler, as it was when the guard attached; undefined if it had none. */
  readonly busHandler: Buffer | undefined;
  /** Which threads block SIGBUS: QEMU's main loop, iothreads, I/O workers; not its virtual CPUs. */
  readonly busMasks: BusMasks;
  /** Ready regions for lazy recoveries. */
  readonly spares: Spares<Spare>;
  /** Those for eager ones, which have their memory already. */
  readonly populated: Spares<PopulatedSpare>;
  readonly ramDescriptors: RamDescriptors;
  /** Replacements that are being filled. */
  readonly fills: LazyFills;
  /** What of a replacement is open in the VM although it is full. */
  readonly closes: LateCloses;
  /** Offsets in a large page that the kernel has reported as bad. */
  readonly reportedBad: (page: LargePage) => readonly number[];
  /** Advice and NUMA policy of a RAM mapping, read at attach: reading them takes too long at an error. */
  readonly attributesOf: (mapping: Mapping) => RamAttributes;
  /** Large pages that were left alone: their signals are delivered at once. */
  readonly refused: Refusals;
  /** What is known of large pages that are out of their place. */
  readonly replaced: ReplacedPages;
  /** Recognises threads that stopped at a page which is whole again. */
  readonly stale: StaleStops;
  /** Touches of lost pages in threads that block SIGBUS. */
  readonly ownTouches: OwnTouches;
  /** How QEMU learns of lost pages. */
  readonly telling: LossTelling;
  /** Touches of lost pages that were told already. */
  readonly touches: TouchLog;
  /** Threads that stopped for SIGBUS and wait for their turn. */
  readonly waiting: WaitingThreads;
  /** Where a large page is read instead of its file: only where memory cannot be made to fail. */
  readonly sourceOf: ((page: Pick<LargePage, "offset">) => Pick<PageSource, "file" | "offset">) | undefined;
  /** Offsets in a large page that are called bad whatever its file says: only where memory cannot be made to fail. */
  readonly pretendBad: readonly number[];
  /** Whether a large page without a bad 4 KiB is replaced as well: only where memory cannot be made to fail. */
  readonly acceptsIntact: boolean;
  readonly onStep: (step: GuardStep) => void;
  /** Sees to resets of the guest that nobody has told of, once no thread waits at an error any more. */
  readonly lookForResets: () => void;
  /** Does something once no thread waits at an error any more. */
  readonly later: (chore: () => void) => void;
}

/** See {@link GuardContext.waiting}. */
export interface WaitingThreads {
  /** Whether there is one, or the guard is about to leave: no time for anything that can be left out. */
  readonly any: () => boolean;
  /** Lets all of them repeat their access. */
  bounce(): void;
}

/** What sets a recovery off. */
export interface Alarm {
  readonly trigger: Trigger;
  /** Somewhere in the page. */
  readonly address: Hva;
  /** When the stop or the report was seen, on performance.now()'s clock. */
  readonly since: number;
  /** The thread that stopped at the error; undefined if nobody has touched the page yet. */
  readonly held: HeldThread | undefined;
}

/** How a replacement is filled, and why so. */
export interface FillPlan {
  readonly fill: Fill;
  readonly fillWhy: string;
  /** Nothing is filled in the background. */
  readonly onlyTouched: boolean;
}

/** A thread at a memory error. */
export interface StoppedAtError extends Alarm {
  readonly held: HeldThread;
  readonly code: number;
}
