/**
 * The walk of one memory error, from the stop of a thread to its release. Every step is one call; follow them down.
 */

import { alignDown, type Hva, hex } from "../linux/address.js";
import { tryReadProcess } from "../linux/process-memory.js";
import { BUS_MCEERR_AO, BUS_MCEERR_AR } from "../linux/signal-info.js";
import { classify, type PlacedOverlay } from "../recovery/classify.js";
import { type LargePage, SMALL_PAGE } from "../recovery/large-page.js";
import { planRecovery } from "../recovery/plan.js";
import { forgiveTouched } from "./forgive.js";
import type { GuardContext, StoppedAtError } from "./guard-context.js";
import { guestAddress } from "./guest-address.js";
import { handOver } from "./hand-over.js";
import { gatherFacts } from "./plan-facts.js";
import { recoverInPlace } from "./recover-in-place.js";
import { recoverPaused } from "./recover-paused.js";
import { reasonOf } from "./refusal-reason.js";
import { busHandlerIsGone, releaseToRepeat } from "./release.js";

/**
 * Deals with a thread that stopped for SIGBUS. Whatever happens, the thread is let go: to repeat its access, or with its
 * original signal.
 */
export async function handleMemoryError(guard: GuardContext, stopped: StoppedAtError): Promise<void> {
  const { held } = stopped;
  guard.onStep("stopped");
  try {
    // Anything but an access that hit poison (action optional, a truncated file, …) is QEMU's alone.
    // A warning of an error nobody has touched is kept from QEMU like those of its main thread (kill-policy.ts).
    if (stopped.code === BUS_MCEERR_AO && guard.telling.route === "monitor") return held.withhold();
    if (stopped.code !== BUS_MCEERR_AR) return held.deliver();
    const found = classify(guard.view, stopped.address);
    if (found.kind === "large-page") await handleLargePage(guard, stopped, found.page);
    else if (found.kind === "overlay") await handleOverlay(guard, stopped, found);
    else held.deliver();
  } catch (error) {
    const base = alignDown(stopped.address, SMALL_PAGE);
    refuse(guard, stopped, base, SMALL_PAGE, error);
  } finally {
    // A thread that was borrowed has lost its signal, but repeats the access and gets a new one.
    held.deliver();
  }
}

async function handleLargePage(guard: GuardContext, stopped: StoppedAtError, page: LargePage): Promise<void> {
  if (guard.refused.takes(page.base)) {
    stopped.held.deliver();
    return guard.telling.bySignal("a memory error could not be recovered");
  }
  try {
    if (guard.stale.has(guard.view.pagemap, stopped.held.tid, stopped.address))
      return releaseToRepeat(guard, stopped.held);
    const plan = planRecovery(gatherFacts(guard, page));
    guard.onStep("planned");
    if (plan.action === "refuse") return refuse(guard, stopped, page.base, page.size, plan);
    if (plan.quiesce) await recoverPaused(guard, stopped, page, plan);
    else recoverInPlace(guard, stopped, page, stopped.held, stopped.since, plan);
  } catch (error) {
    refuse(guard, stopped, page.base, page.size, error);
  }
}

/** A touch of a page we put in place: of a lost one it is QEMU's; otherwise another thread's recovery was quicker. */
async function handleOverlay(
  guard: GuardContext,
  stopped: StoppedAtError,
  placed: PlacedOverlay,
): Promise<void> {
  const { held } = stopped;
  const address = alignDown(stopped.address, SMALL_PAGE);
  const readable = canBeRead(guard, placed, address);
  if (readable) return releaseToRepeat(guard, held);
  // The lost page of a guest that is gone: the one that started anew expects memory there.
  if (forgiveTouched(guard, held, placed, address)) return;
  if (busHandlerIsGone(guard, held)) {
    // Another thread's SIGBUS may have cost QEMU its handler meanwhile: put back first, and the access raises a fresh signal.
    if (!guard.ownTouches.tooOften(held.tid, stopped.address)) return releaseToRepeat(guard, held);
    tellOwnTouch(guard, held.tid, address);
  }
  if ((await handOver(guard, stopped, address)) === "again") return;
  if (!guard.touches.isNews(address)) return;
  guard.journal.tell({
    event: "poison",
    gpa: guestAddress(guard, address),
    trigger: "AR",
    hva: hex(address),
  });
}

/** What follows is what happens without a guard: the kernel ends a process that blocks a SIGBUS it has to take. */
function tellOwnTouch(guard: GuardContext, tid: number, address: Hva): void {
  guard.journal.tell({
    event: "warning",
    code: "HM_LOST_PAGE_IN_QEMU",
    message:
      `QEMU's own thread ${tid}, which blocks SIGBUS, needs the lost page at ${hex(address)}: the signal ends QEMU, as it does ` +
      "without Hugemend",
  });
}

/** Of a replacement that may still be filled only what is there may be read: for the rest this very thread would wait. */
function canBeRead(guard: GuardContext, { tag }: PlacedOverlay, address: Hva): boolean {
  if (tag !== undefined) {
    const entry = guard.view.pagemap.at(address);
    if (entry?.present !== true && entry?.swapped !== true) return true;
  }
  return tryReadProcess(guard.pid, address, 1) !== undefined;
}

/** First law: the mapping is as it was; the signal goes through now, or when the access repeats. */
function refuse(
  guard: GuardContext,
  stopped: StoppedAtError,
  base: StoppedAtError["address"],
  pageSize: number,
  reason: unknown,
): void {
  const { code, message } = reasonOf(reason);
  // Delivered now, the refusal is used up; borrowed before, the access comes once more.
  if (stopped.held.canDeliver) guard.refused.addLasting(base, code);
  else guard.refused.add(base, code);
  const gets = stopped.held.canDeliver;
  stopped.held.deliver();
  guard.journal.tell({ event: "refused", hva: hex(base), pageSize, code, message });
  if (gets) guard.telling.bySignal("a memory error could not be recovered");
}
