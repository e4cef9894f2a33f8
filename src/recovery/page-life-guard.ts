/** The guard's part in the model of a large page's life (page-life.ts): recovery, and the return of the large page. */

import {
  access,
  forgets,
  just,
  type LifeFlaws,
  type Next,
  newPage,
  type PageLife,
  parked,
  type Work,
  ZEROS,
} from "./page-life-state.js";

/** @returns what comes of the guard's next step; undefined if it has nothing to do, or must wait */
export function guardStep(page: PageLife, flaws: LifeFlaws): Next {
  switch (page.work) {
    case "absent":
      return undefined;
    case "watching":
      return begins(page);
    case "planned":
      // What may write behind the page tables is waited for.
      return page.transfer && flaws.neverPauses !== true
        ? just(asksForPause(page, "pausing", "paused", flaws))
        : salvages(page, flaws);
    case "pausing":
      return pauses(page, "paused");
    case "paused":
      // Somebody else has resumed it.
      return page.running ? guardFails(page, flaws) : salvages(page, flaws);
    case "salvaged":
      return just({ ...page, work: "lost-marked" });
    case "lost-marked":
      return just({ ...page, work: "intent-recorded" });
    case "intent-recorded":
      return just({
        ...page,
        work: "swapped",
        mapped: "small",
        lost: flaws.marksLate === true ? newPage.lost : (page.known ?? newPage.lost),
        recorded: page.known ?? newPage.lost,
      });
    case "swapped":
      return resumes({ ...page, lost: page.lost.map((old, part) => old || page.known?.[part] === true) });
    case "resetting":
      return just({ ...page, work: "heal-recorded", forgiven: page.forgiven ?? page.lost });
    case "heal-recorded":
      return just(asksForPause(page, "heal-pausing", "heal-paused", flaws));
    case "heal-pausing":
      return pauses(page, "heal-paused");
    case "heal-paused":
      return page.running || (lostSince(page) && flaws.zerosAll !== true)
        ? guardFails(page, flaws)
        : just(copiesBack(page));
    case "heal-copied":
      return just({
        ...page,
        work: "healed",
        mapped: "large",
        lost: newPage.lost,
        gone: newPage.gone,
        recorded: newPage.recorded,
        hole: false,
      });
    case "healed":
      return resumes({ ...page, resetSeen: false, forgiven: undefined });
  }
}

/** Whether a part is lost that was not when the guest was reset. */
function lostSince({ lost, forgiven }: PageLife): boolean {
  return lost.some((one, part) => one && forgiven?.[part] !== true);
}

function begins(page: PageLife): Next {
  const known = page.standing !== undefined || page.reported;
  if (known && page.mapped === "large" && page.bad.includes(true) && !page.refused) {
    return just({ ...page, work: "planned" });
  }
  return page.resetSeen && page.mapped === "small" ? just({ ...page, work: "resetting" }) : undefined;
}

/** A VM that stands already needs no pause of ours. */
function asksForPause(page: PageLife, asking: Work, paused: Work, flaws: LifeFlaws): PageLife {
  if (!page.running) return { ...page, work: paused };
  return { ...page, work: asking, pauseRecorded: flaws.pausesUnrecorded !== true };
}

/** QEMU answers `stop` once its disk I/O has ended. If the operator was faster, the pause stays the operator's. */
function pauses(page: PageLife, work: Work): Next {
  if (page.transfer) return undefined;
  if (!page.running) return just({ ...page, work, pauseRecorded: false });
  return just(parked({ ...page, work, running: false, pausedBy: "us" }));
}

/** Reads what can be read. If that is nothing, or all of it, the page is left alone. */
function salvages(page: PageLife, flaws: LifeFlaws): Next {
  if (!page.bad.includes(false) || !page.bad.includes(true)) return guardFails(page, flaws);
  return just({ ...page, work: "salvaged", known: page.bad, small: page.large });
}

/** Nothing of a lost part is expected after a reset; what firmware has put into the others is. */
function copiesBack(page: PageLife): PageLife {
  const large = page.small.map((version, part) => (page.lost[part] === true ? ZEROS : version));
  return { ...page, work: "heal-copied", large, bad: newPage.bad };
}

/** Ends a pause of ours, and lets go of the thread that stands. */
function resumes(page: PageLife): Next {
  const ours = page.pausedBy === "us";
  const free: PageLife = {
    ...page,
    work: "watching",
    known: undefined,
    standing: undefined,
    reported: false,
    running: page.running || ours,
    pausedBy: ours ? undefined : page.pausedBy,
    pauseRecorded: false,
  };
  if (page.standing === undefined || !free.running) return just(free);
  return access(free, { kind: "touch", part: page.standing });
}

/** The large page cannot come back, but what the reset forgives is usable again, and holds zeros. */
function clears(page: PageLife): PageLife {
  const { lost, forgiven = lost } = page;
  const still = (parts: readonly boolean[]): boolean[] =>
    parts.map((one, part) => one && forgiven[part] !== true);
  const recorded = still(page.recorded);
  // A hole says nothing of what is not recorded.
  return {
    ...page,
    lost: still(lost),
    gone: still(page.gone),
    recorded,
    hole: page.hole && recorded.includes(true),
  };
}

/** A step is refused before anything counts: the mapping is as it was, and QEMU gets its signal. */
export function guardFails(page: PageLife, flaws: LifeFlaws): Next {
  const recovering = ["planned", "pausing", "paused", "salvaged", "lost-marked", "intent-recorded"];
  const healing = ["resetting", "heal-recorded", "heal-pausing", "heal-paused"];
  if (healing.includes(page.work)) {
    const cleared = flaws.clearsNothing === true ? page : clears(page);
    return resumes({ ...cleared, resetSeen: false, forgiven: undefined });
  }
  if (!recovering.includes(page.work)) return undefined;
  const after = resumes({ ...forgets(page), refused: true });
  if (flaws.keepsThread !== true || page.standing === undefined) return after;
  return after === undefined ? undefined : just({ ...after.page, standing: page.standing });
}
