/** Step 3 of the walk: what to do about an error. Pure: no I/O, the same facts give the same plan. */

import type { HugemendCode } from "../errors.js";
import type { Fill } from "../ledger/events.js";
import { hex } from "../linux/address.js";
import type { SalvageSupport } from "../linux/procfs/kernel-version.js";
import { type FillChoice, wantsLazy } from "./fill-choice.js";
import type { Hazards } from "./hazards.js";
import type { LargePage } from "./large-page.js";

/** When to pause the whole VM for a recovery. */
export type QuiescePolicy = "auto" | "always" | "never";

/** What to do when there is not enough memory for a whole replacement: nothing, or to fill only what is touched. */
export type ShortMemoryPolicy = "refuse" | "touched";

/** All that a plan depends on. What takes a while to find out may be found out when it is asked for: a plan asks only for what it needs. */
export interface PlanFacts {
  readonly page: LargePage;
  readonly salvage: SalvageSupport;
  /** `uname -r`, for the reason. */
  readonly kernel: string;
  readonly hazards: Hazards;
  readonly quiesce: QuiescePolicy;
  readonly fill: FillChoice;
  /** Why this page cannot be filled lazily; undefined if it can. */
  readonly lazyObstacle: string | undefined;
  /** Whether a userfaultfd watches the mapping. */
  readonly watched: boolean;
  /** Whether QEMU can be asked to pause. */
  readonly hasQmp: boolean;
  /** Other processes that map the same file, for people: `1234 (virtiofsd)`. */
  readonly sharers: readonly string[];
  /** Mappings the process has, and may have (vm.max_map_count). */
  readonly mappings: number;
  readonly mappingsLimit: number;
  /**
   * Memory we may take for a replacement that is filled before, in bytes: the host's without swapping, our control group's. Infinity for
   * one that has it already.
   */
  readonly availableBytes: number;
  /** The same for one that is filled after, which the VM pays for. */
  readonly lazyAvailableBytes: number;
  readonly whenShort: ShortMemoryPolicy;
}

/** What to do. A refusal leaves everything as it would be without Hugemend. */
export type Plan =
  | {
      readonly action: "recover";
      readonly quiesce: boolean;
      readonly why: string;
      readonly fill: Fill;
      /** Why it is filled so. */
      readonly fillWhy: string;
      /** Nothing is filled in the background. */
      readonly onlyTouched: boolean;
    }
  | { readonly action: "refuse"; readonly code: HugemendCode; readonly message: string };

/** A swap splits one mapping in three and needs one more for a moment; mremap(2) itself wants some room. */
export const SPARE_MAPPINGS = 16;
/** What must stay free beside the replacement, so that saving a VM does not bring the host to its knees. */
const SPARE_BYTES = 64 * 1024 * 1024;

/** @param size bytes of a large page @returns bytes that must be there to replace it */
export function memoryNeeded(size: number): number {
  return size + SPARE_BYTES;
}

const kernelReasons: Readonly<Record<Exclude<SalvageSupport, "ok">, string>> = {
  drops: "drops a poisoned large page from its file, so that reading gives zeros instead of data",
  "all-eio": "reads no byte of a poisoned large page",
  broken: "may walk into the poison when it reads the page",
};

/** @returns the plan, with a reason for people */
export function planRecovery(facts: PlanFacts): Plan {
  const { page, hazards } = facts;
  if (!page.mapping.shared) {
    return refuse(
      "HM_PLAN_PRIVATE",
      `RAM at ${hex(page.mapping.start)} is mapped privately, so its file does not hold what the guest wrote. Start QEMU with share=on`,
    );
  }
  if (facts.salvage !== "ok") {
    return refuse(
      "HM_PLAN_KERNEL",
      `Linux ${facts.kernel} ${kernelReasons[facts.salvage]}. Linux 6.6, or 6.8 and later, can`,
    );
  }
  if (hazards.pinned.length > 0) {
    return refuse(
      "HM_PLAN_PINNED",
      `A device may hold the page's physical address: ${hazards.pinned.join(", ")}. It would go on using the old page`,
    );
  }
  if (facts.sharers.length > 0) {
    return refuse(
      "HM_PLAN_SHARED_WITH_OTHERS",
      `Other processes map the same RAM: ${facts.sharers.join(", ")}. They would not see the replacement`,
    );
  }
  if (facts.watched) {
    return refuse(
      "HM_PLAN_USERFAULTFD",
      "A userfaultfd watches this RAM (postcopy migration or a background snapshot), and would lose track of the page",
    );
  }
  if (facts.mappings + SPARE_MAPPINGS > facts.mappingsLimit) {
    return refuse(
      "HM_PLAN_MAP_COUNT",
      `The process has ${facts.mappings} mappings of at most ${facts.mappingsLimit}. Raise vm.max_map_count`,
    );
  }
  const fill = planFill(facts);
  if (fill === undefined) {
    return refuse(
      "HM_PLAN_MEMORY",
      `The replacement needs ${page.size} bytes, but only ${facts.availableBytes} are available (${SPARE_BYTES} must stay free). Free memory on the host, ` +
        "or raise the control group's limit",
    );
  }
  return planQuiesce(facts, fill);
}

type FillPlan = Pick<Extract<Plan, { action: "recover" }>, "fill" | "fillWhy" | "onlyTouched">;

/** @returns undefined if there is not enough memory */
function planFill(facts: PlanFacts): FillPlan | undefined {
  const { page } = facts;
  const needed = memoryNeeded(page.size);
  const eager = (fillWhy: string): FillPlan | undefined =>
    facts.availableBytes < needed ? undefined : { fill: "eager", fillWhy, onlyTouched: false };
  if (facts.fill === "eager") return eager("--fill is eager");
  if (!wantsLazy(facts.fill, page.size)) return eager("small enough to be copied at once");
  const { lazyObstacle } = facts;
  if (lazyObstacle !== undefined) return eager(lazyObstacle);
  if (facts.lazyAvailableBytes >= needed) {
    const fillWhy = facts.fill === "lazy" ? "--fill is lazy" : "too large to be copied at once";
    return { fill: "lazy", fillWhy, onlyTouched: false };
  }
  if (facts.whenShort === "touched")
    return { fill: "lazy", fillWhy: "memory is short: only what is touched", onlyTouched: true };
  return eager("the VM's control group has no room for it");
}

function planQuiesce(facts: PlanFacts, fill: FillPlan): Plan {
  const { quiesce, hazards, hasQmp } = facts;
  const transient = hazards.transient.join(", ");
  const recover = { action: "recover", ...fill } as const;
  if (quiesce === "never")
    return { ...recover, quiesce: false, why: transient === "" ? "nothing to wait for" : "policy is never" };
  if (quiesce === "auto" && transient === "")
    return { ...recover, quiesce: false, why: "nothing writes behind the page tables" };
  const why = quiesce === "always" ? "policy is always" : `may write behind the page tables: ${transient}`;
  if (hasQmp) return { ...recover, quiesce: true, why };
  return refuse(
    "HM_PLAN_NO_QMP",
    `The VM must be paused first (${why}), but there is no QMP socket. Give --qmp`,
  );
}

function refuse(code: HugemendCode, message: string): Plan {
  return { action: "refuse", code, message };
}
