/**
 * The life of one large page as a pure state machine: what errors, the guest, the operator, resets, and a guard that may die at
 * each step can make of it. It says what the real steps (swap.ts, heal.ts, src/guard) must add up to; docs/model.md tells its
 * invariants. It is explored exhaustively by its tests and replayed on real processes.
 *
 * Data is modelled as versions: a write by the guest makes the next one, and a read is right if it gives the last one written.
 */

/** How many 4 KiB parts the modelled large page has: enough for "the bad one" and "another". */
export const PARTS = 2;
/** One of them. */
export type Part = number;

/** What the guard does about this page now. The names are those of the real steps, where there is one. */
export type Work =
  | "absent"
  | "watching"
  | "planned"
  | "pausing"
  | "paused"
  | "salvaged"
  | "lost-marked"
  | "intent-recorded"
  | "swapped"
  | "resetting"
  | "heal-pausing"
  | "heal-paused"
  | "heal-copied"
  | "healed";

/** One large page, the VM around it, and its guard. */
export interface PageLife {
  /** What is mapped in the guest's RAM. */
  readonly mapped: "large" | "small";
  /** Version of each part in the large page's frames, in the small pages, and as the guest wrote it last. */
  readonly large: readonly number[];
  readonly small: readonly number[];
  readonly written: readonly number[];
  /** Parts of the large page that are bad. */
  readonly bad: readonly boolean[];
  /** Small pages that raise SIGBUS: marked by the guard, or bad themselves. */
  readonly lost: readonly boolean[];
  /** Parts that are lost for good: an error took the only copy of what the guest wrote. */
  readonly gone: readonly boolean[];
  readonly work: Work;
  /** What the guard knows of its own work; it is gone with the guard. */
  readonly known: readonly boolean[] | undefined;
  /** The page was left alone once, and is not tried again. */
  readonly refused: boolean;
  /** The kernel has reported an error the guard has not acted on. */
  readonly reported: boolean;
  /** A virtual CPU that stands at its access to this part. */
  readonly standing: Part | undefined;
  /** Disk I/O that the kernel performs on the frames of the large page's first part, behind the page tables. */
  readonly transfer: boolean;
  readonly running: boolean;
  /** Who has paused the VM. */
  readonly pausedBy: "operator" | "us" | undefined;
  /** The ledger says `pausing` without `resumed`. */
  readonly pauseRecorded: boolean;
  /** The guest has been reset since the large page was bad. */
  readonly resetSeen: boolean;
}

/** What may happen. `step` is the guard's next step, `fail` that this step is refused by kernel, ledger or QEMU. */
export type LifeEvent =
  | { readonly kind: "error"; readonly part: Part }
  | Access
  | { readonly kind: "transfer-begins" | "transfer-ends" | "operator-stops" | "operator-resumes" | "reset" }
  | { readonly kind: "guard-starts" | "guard-dies" | "step" | "fail" };

/** The guest reads or writes a part. */
export interface Access {
  readonly kind: "touch" | "store";
  readonly part: Part;
}

/** What the guest, or QEMU, saw of an event. */
export type Seen =
  | { readonly kind: "nothing" }
  /** A read: the version it gave. */
  | { readonly kind: "read"; readonly part: Part; readonly version: number }
  /** QEMU got SIGBUS for this part, and tells the guest. */
  | { readonly kind: "told"; readonly part: Part };

/** Where everything begins. */
export const newPage: PageLife = {
  mapped: "large",
  large: [0, 0],
  small: [0, 0],
  written: [0, 0],
  bad: [false, false],
  lost: [false, false],
  gone: [false, false],
  work: "absent",
  known: undefined,
  refused: false,
  reported: false,
  standing: undefined,
  transfer: false,
  running: true,
  pausedBy: undefined,
  pauseRecorded: false,
  resetSeen: false,
};

/** Whether an access to a part raises SIGBUS: the kernel unmaps a bad large page as a whole. */
export function raises(page: PageLife, part: Part): boolean {
  return page.mapped === "large" ? page.bad.includes(true) : page.lost[part] === true;
}

/**
 * From salvage to swap, and while a large page is put back, the guard holds a thread without which QEMU can neither reset nor
 * resume: a virtual CPU that stands at its access, or the main loop.
 */
const copying: ReadonlySet<Work> = new Set(["salvaged", "lost-marked", "intent-recorded", "heal-copied"]);

/** What can be switched off, to see that the tests notice. Never set otherwise. */
export interface LifeFlaws {
  /** The VM is not paused although something may write behind the page tables. */
  readonly neverPauses?: boolean;
  /** The pause is not written to the ledger first. */
  readonly pausesUnrecorded?: boolean;
  /** Lost parts are marked after the swap. */
  readonly marksLate?: boolean;
  /** The thread that stopped is not let go after a refusal. */
  readonly keepsThread?: boolean;
}

/** A step of the machine. `undefined`: the event cannot happen in this state. */
export type Next = { readonly page: PageLife; readonly seen: readonly Seen[] } | undefined;

/** @returns what comes of an event */
export function nextLife(page: PageLife, event: LifeEvent, flaws: LifeFlaws = {}): Next {
  switch (event.kind) {
    case "error":
      return just(fails(page, event.part));
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
      return page.work === "absent" ? just(guardStarts(page)) : undefined;
    case "guard-dies":
      return page.work === "absent" ? undefined : guardDies(page);
    case "step":
      return guardStep(page, flaws);
    case "fail":
      return guardFails(page, flaws);
  }
}

function just(page: PageLife, ...seen: Seen[]): Next {
  return { page, seen };
}

function set<Value>(values: readonly Value[], part: Part, value: Value): readonly Value[] {
  return values.map((old, index) => (index === part ? value : old));
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

function access(page: PageLife, event: Access): Next {
  const { part } = event;
  if (raises(page, part)) {
    // A guard looks at the error first, unless it has left this page alone, or the page is its own.
    const looks = page.work !== "absent" && page.mapped === "large" && !page.refused;
    return looks ? just({ ...page, standing: part }) : just(page, { kind: "told", part });
  }
  if (event.kind === "touch") {
    const version = (page.mapped === "large" ? page.large : page.small)[part] ?? Number.NaN;
    return just(page, { kind: "read", part, version });
  }
  const version = (page.written[part] ?? 0) + 1;
  const written = set(page.written, part, version);
  return page.mapped === "large"
    ? just({ ...page, written, large: set(page.large, part, version) })
    : just({ ...page, written, small: set(page.small, part, version) });
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

/** QEMU parks a virtual CPU that stands at an access; it repeats it when the VM runs again. */
function parked(page: PageLife): PageLife {
  return page.standing === undefined ? page : { ...page, standing: undefined };
}

/** The guest starts over: whatever memory holds is right, and nothing is owed. QEMU renews a bad large page by itself. */
function reset(page: PageLife): PageLife {
  const renewed = page.mapped === "large" && page.bad.includes(true);
  const held = page.mapped === "large" ? page.large : page.small;
  return {
    ...page,
    bad: renewed ? newPage.bad : page.bad,
    written: held,
    gone: page.mapped === "small" ? page.lost : newPage.gone,
    refused: false,
    reported: renewed ? false : page.reported,
    standing: undefined,
    resetSeen: page.work !== "absent" && page.mapped === "small",
  };
}

/** A new guard ends a pause that the ledger says a dead one has left. */
function guardStarts(page: PageLife): PageLife {
  const ours = page.pauseRecorded && page.pausedBy === "us";
  return {
    ...page,
    work: "watching",
    known: undefined,
    refused: false,
    reported: page.mapped === "large" && page.bad.includes(true),
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

/** What was salvaged is thrown away: an error that came since has taken the only copy. */
function forgets(page: PageLife): PageLife {
  const gone =
    page.mapped === "large" ? page.gone.map((old, part) => old || page.bad[part] === true) : page.gone;
  return { ...page, known: undefined, gone };
}

function guardStep(page: PageLife, flaws: LifeFlaws): Next {
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
      });
    case "swapped":
      return resumes({ ...page, lost: page.lost.map((old, part) => old || page.known?.[part] === true) });
    case "resetting":
      return just(asksForPause(page, "heal-pausing", "heal-paused", flaws));
    case "heal-pausing":
      return pauses(page, "heal-paused");
    case "heal-paused":
      return page.running ? guardFails(page, flaws) : just(copiesBack(page));
    case "heal-copied":
      return just({ ...page, work: "healed", mapped: "large", lost: newPage.lost, gone: newPage.gone });
    case "healed":
      return resumes({ ...page, resetSeen: false });
  }
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
  return { ...page, work: "heal-copied", large: page.small, bad: newPage.bad };
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

/** A step is refused before anything counts: the mapping is as it was, and QEMU gets its signal. */
function guardFails(page: PageLife, flaws: LifeFlaws): Next {
  const recovering = ["planned", "pausing", "paused", "salvaged", "lost-marked", "intent-recorded"];
  const healing = ["resetting", "heal-pausing", "heal-paused"];
  if (healing.includes(page.work)) return resumes({ ...page, resetSeen: false });
  if (!recovering.includes(page.work)) return undefined;
  const after = resumes({ ...forgets(page), refused: true });
  if (flaws.keepsThread !== true || page.standing === undefined) return after;
  return after === undefined ? undefined : just({ ...after.page, standing: page.standing });
}

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

/** @returns what is wrong with a state in which nothing more is going to happen; empty if nothing is */
export function unsettled(page: PageLife): string[] {
  const wrong: string[] = [];
  if (page.standing !== undefined) wrong.push("a virtual CPU stands for ever");
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
