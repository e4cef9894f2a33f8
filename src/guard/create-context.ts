/** What the steps of a guard work with, put together once. */

import { hex } from "../linux/address.js";
import { spareFor } from "../recovery/fill-choice.js";
import { PopulatedSpare } from "../recovery/populated-spare.js";
import { Spare } from "../recovery/spare.js";
import type { Attached, GuardComponents } from "./attach.js";
import { BusMasks } from "./bus-masks.js";
import type { GuardContext, GuardPolicy } from "./guard-context.js";
import { LateCloses } from "./late-closes.js";
import { LazyFills } from "./lazy/lazy-fills.js";
import { OwnTouches } from "./own-touches.js";
import { ProcessView } from "./process-view.js";
import { Refusals } from "./refusals.js";
import { ReplacedPages } from "./replaced-pages.js";
import { Spares } from "./spares.js";
import { StaleStops } from "./stale-stop.js";
import { TouchLog } from "./touch-log.js";

/** How the steps reach the guard they belong to. */
export interface GuardHooks extends Pick<GuardContext, "later" | "lookForResets"> {
  /** There may be something to do. */
  readonly wake: () => void;
  /** Something is lost now, or is no more. */
  readonly lostChanged: () => void;
}

/** @param pid the VM @param attached what the guard has of it */
export function createContext(
  pid: number,
  { journal, telling, vm, left, trial = {} }: GuardComponents,
  attached: Attached,
  policy: GuardPolicy,
  { wake, lostChanged, later, lookForResets }: GuardHooks,
): Omit<GuardContext, "waiting"> {
  const {
    attributesOf,
    inventory,
    kernel,
    processDescriptor,
    ram,
    ramDescriptors,
    sharers,
    tracee,
    untouched,
  } = attached;
  const { onStep = (): void => {}, withoutPopulated = false } = trial;
  const ramFor = (kind: ReturnType<typeof spareFor>): typeof ram =>
    ram.filter(({ pageSize }) => spareFor(policy, pageSize) === kind);
  const closes = new LateCloses(tracee, later);
  const fills = new LazyFills(pid, processDescriptor, policy, {
    wake,
    abandoned: (theirs) => closes.closeLater(theirs),
    trouble: ({ base }, code, message) =>
      journal.tell({ event: "warning", code, message: `The replacement at ${hex(base)}: ${message}` }),
    step: trial.onStep,
  });
  return {
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
    replaced: new ReplacedPages(left, lostChanged),
    stale: new StaleStops(),
    ownTouches: new OwnTouches(),
    telling,
    touches: new TouchLog(),
    sourceOf: trial.sourceOf,
    acceptsIntact: trial.acceptsIntact ?? false,
    spares: new Spares(
      (remote, kind) => Spare.prepare(remote, { ...kind, processDescriptor, onStep }),
      ramFor("empty"),
      attributesOf,
    ),
    populated: new Spares(
      (remote, kind) => PopulatedSpare.prepare(remote, { ...kind, processDescriptor, onStep }),
      withoutPopulated ? [] : ramFor("populated"),
      attributesOf,
    ),
    ramDescriptors,
    fills,
    closes,
    reportedBad: trial.reportedBad ?? ((page) => untouched.badIn(page)),
    pretendBad: trial.pretendBad ?? [],
    lookForResets,
    later,
    onStep,
  };
}
