/** What must hold in the model of a large page's life (page-life.ts), in every state: docs/model.md. */

import { nextLife } from "./page-life.js";
import { type LifeFlaws, newPage, type PageLife, raises, type Seen } from "./page-life-state.js";

/** @returns what is wrong with a state and what was seen on the way to it, for people; empty if nothing is */
export function violations(page: PageLife, seen: readonly Seen[]): string[] {
  const wrong: string[] = [];
  for (const one of seen) {
    if (one.kind === "read" && page.gone[one.part] === true)
      wrong.push(`part ${one.part} is gone, but was read`);
    if (one.kind === "read" && one.version !== page.written[one.part]) {
      wrong.push(`part ${one.part} gave version ${one.version}, the guest wrote ${page.written[one.part]}`);
    }
    if (one.kind === "told" && page.mapped === "small" && page.gone[one.part] !== true) {
      wrong.push(`the guest was told of part ${one.part}, which is not lost`);
    }
  }
  for (const [part, gone] of page.gone.entries()) {
    if (gone && !raises(page, part)) wrong.push(`part ${part} is gone, but raises no signal`);
    if (!gone && page.mapped === "small" && page.lost[part] === true)
      wrong.push(`part ${part} is lost without need`);
  }
  if (page.standing !== undefined && page.work === "absent") wrong.push("a thread stands without a guard");
  if (page.pausedBy === "us" && page.work === "absent" && !page.pauseRecorded) {
    wrong.push("the VM is paused by a dead guard, and nobody can know");
  }
  return wrong;
}

/** @returns the state once nothing more comes from outside, with a guard there, and what was seen on the way */
export function settle(page: PageLife, flaws: LifeFlaws = {}): { page: PageLife; seen: readonly Seen[] } {
  const seen: Seen[] = [];
  let now = page;
  for (let steps = 0; steps < 100; steps++) {
    const kind = now.work === "absent" ? "guard-starts" : "step";
    const next = nextLife(now, { kind }, flaws) ?? nextLife(now, { kind: "transfer-ends" }, flaws);
    if (next === undefined) return { page: now, seen };
    seen.push(...next.seen);
    now = next.page;
  }
  throw new RangeError("the guard goes on for ever");
}

/** Whether the large page must come back if nothing more comes from outside: a guard has died after a reset, or has missed it. */
export function owesLargePage(page: PageLife): boolean {
  if (page.work !== "absent" || page.mapped !== "small" || !page.lost.includes(true)) return false;
  const forgiven = page.forgiven ?? (page.hole ? page.recorded : undefined);
  return page.lost.every((lost, part) => !lost || forgiven?.[part] === true);
}

/** @returns parts of which a guest that was reset expects memory as soon as a guard is there, though none was when it was reset */
export function owedParts(page: PageLife): boolean[] {
  if (page.work !== "absent" || page.mapped !== "small") return newPage.lost.map(() => false);
  const forgiven = page.forgiven ?? (page.hole ? page.recorded : newPage.lost);
  return page.lost.map((lost, part) => lost && forgiven[part] === true);
}

/** @returns what is wrong with a state in which nothing more is going to happen; empty if nothing is */
export function unsettled(page: PageLife): string[] {
  const wrong: string[] = [];
  if (page.standing !== undefined) wrong.push("a virtual CPU stands for ever");
  if (page.forgiven !== undefined) wrong.push("a large page is being put back for ever");
  if (page.pausedBy === "us" || (!page.running && page.pausedBy === undefined))
    wrong.push("the VM stays paused by us");
  if (
    page.mapped === "large" &&
    page.bad.includes(true) &&
    page.bad.includes(false) &&
    !page.refused &&
    page.reported
  ) {
    wrong.push("a reported error is forgotten");
  }
  return wrong;
}
