/**
 * The life of one large page as a pure state machine: what errors, the guest, the operator, resets, and a guard that may die at
 * each step can make of it. It says what the real steps (swap.ts, heal.ts, src/guard) must add up to; docs/model.md tells its
 * invariants. It is explored exhaustively by its tests and replayed on real processes.
 *
 * Data is modelled as versions: a write by the guest makes the next one, and a read is right if it gives the last one written.
 */

import { guardFails, guardStep } from "./page-life-guard.js";
import {
  access,
  forgets,
  just,
  type LifeEvent,
  type LifeFlaws,
  type Next,
  newPage,
  type PageLife,
  type Part,
  parked,
  set,
  type Work,
  ZEROS,
} from "./page-life-state.js";

/**
 * From salvage to swap, and while a large page is put back, the guard holds a thread without which QEMU can neither reset nor
 * resume: a virtual CPU that stands at its access, or the main loop.
 */
const copying: ReadonlySet<Work> = new Set(["salvaged", "lost-marked", "intent-recorded", "heal-copied"]);

/** @returns what comes of an event */
export function nextLife(page: PageLife, event: LifeEvent, flaws: LifeFlaws = {}): Next {
  switch (event.kind) {
    case "error":
      // Left out: an error after a reset that its guard has not looked at yet (docs/limits.md).
      return page.resetSeen && page.forgiven === undefined && page.mapped === "small"
        ? undefined
        : just(fails(page, event.part));
    case "touch":
    case "store":
      return page.running && page.standing === undefined ? access(page, event) : undefined;
    case "transfer-begins":
      // The kernel looks the frames up, which fails once the page is bad.
      if (page.transfer || !page.running || page.mapped === "small" || page.bad.includes(true))
        return undefined;
      return just({ ...page, transfer: true });
    case "transfer-ends":
      return page.transfer ? just(transferEnds(page)) : undefined;
    case "operator-stops":
      // QEMU's stop waits for its disk I/O.
      if (!page.running || page.transfer) return undefined;
      return just(parked({ ...page, running: false, pausedBy: "operator" }));
    case "operator-resumes":
      // QEMU's main loop obeys monitors and resets; it is held while the guard copies.
      return page.running || copying.has(page.work)
        ? undefined
        : just({ ...page, running: true, pausedBy: undefined });
    case "reset":
      return copying.has(page.work) ? undefined : just(reset(page));
    case "guard-starts":
      return page.work === "absent" ? just(guardStarts(page, flaws)) : undefined;
    case "guard-dies":
      return page.work === "absent" ? undefined : guardDies(page);
    case "step":
      return guardStep(page, flaws);
    case "fail":
      return guardFails(page, flaws);
  }
}

/** An error takes what its frame holds; if that was the only copy, the guest has lost it. */
function fails(page: PageLife, part: Part): PageLife {
  if (page.mapped === "small") {
    return { ...page, lost: set(page.lost, part, true), gone: set(page.gone, part, true) };
  }
  // Between salvage and swap the bytes are safe already: what was read was read before the error.
  const safe = page.known !== undefined && page.known[part] === false;
  return {
    ...page,
    bad: set(page.bad, part, true),
    gone: safe ? page.gone : set(page.gone, part, true),
    reported: true,
  };
}

/** The guest is told of success, so it expects to read what the disk gave. */
function transferEnds(page: PageLife): PageLife {
  const version = (page.written[0] ?? 0) + 1;
  return {
    ...page,
    transfer: false,
    written: set(page.written, 0, version),
    large: set(page.large, 0, version),
  };
}

/** The guest starts over: whatever memory holds is right, and nothing is owed. QEMU renews a bad large page by itself. */
function reset(page: PageLife): PageLife {
  const renewed = page.mapped === "large" && page.bad.includes(true);
  // Of a lost part nothing is expected: zeros are as good as anything.
  const small = page.small.map((version, part) => (page.lost[part] === true ? ZEROS : version));
  const held = page.mapped === "large" ? page.large : small;
  const unseen = page.work === "absent" && page.mapped === "small";
  return {
    ...page,
    small: page.mapped === "large" ? page.small : small,
    hole: page.hole || (unseen && page.recorded.includes(true)),
    bad: renewed ? newPage.bad : page.bad,
    written: held,
    gone: page.mapped === "small" ? page.lost : newPage.gone,
    refused: false,
    reported: renewed ? false : page.reported,
    standing: undefined,
    resetSeen: page.work !== "absent" && page.mapped === "small",
  };
}

/**
 * A new guard ends a pause that the ledger says a dead one has left; before that it finishes what that one was putting back. A hole
 * in the file tells of a reset that nobody has seen; it forgives the parts that the ledger knows as lost.
 */
function guardStarts(page: PageLife, flaws: LifeFlaws): PageLife {
  const ours = page.pauseRecorded && page.pausedBy === "us";
  const small = page.mapped === "small";
  const missed = page.lost.map((lost, part) => page.hole && lost && page.recorded[part] === true);
  const forgiven = small ? (page.forgiven ?? (missed.includes(true) ? missed : undefined)) : undefined;
  const heals = forgiven !== undefined && flaws.forgetsReset !== true;
  const fresh: PageLife = {
    ...page,
    forgiven: heals ? forgiven : undefined,
    resetSeen: heals,
    known: undefined,
    refused: false,
    reported: page.mapped === "large" && page.bad.includes(true),
  };
  if (ours && heals) return { ...fresh, work: "heal-paused" };
  return {
    ...fresh,
    work: "watching",
    running: page.running || ours,
    pausedBy: ours ? undefined : page.pausedBy,
    pauseRecorded: false,
  };
}

/** The kernel lets every thread run on; a signal that the guard held is gone, but an access repeats. */
function guardDies(page: PageLife): Next {
  const { standing } = page;
  const alone: PageLife = { ...forgets(page), work: "absent", standing: undefined, resetSeen: false };
  if (standing === undefined || !page.running) return just(alone);
  return access(alone, { kind: "touch", part: standing });
}
