/** What the model of a large page's life (page-life.ts) consists of. */

/** One of the modelled large page's 4 KiB parts. */
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
  | "heal-recorded"
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
  /** The guard knows that the guest has been reset since the large page was bad. */
  readonly resetSeen: boolean;
  /** The ledger says `healing`: the parts that were lost at the reset. */
  readonly forgiven: readonly boolean[] | undefined;
  /** The lost parts as the ledger has them from the swap. */
  readonly recorded: readonly boolean[];
  /** QEMU has punched the bad large page out of its file, at a reset that no guard has seen. */
  readonly hole: boolean;
}

/** What a part reads as when nothing was written since it came from the kernel. */
export const ZEROS = 0;

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
  forgiven: undefined,
  recorded: [false, false],
  hole: false,
};

/** Whether an access to a part raises SIGBUS: the kernel unmaps a bad large page as a whole. */
export function raises(page: PageLife, part: Part): boolean {
  return page.mapped === "large" ? page.bad.includes(true) : page.lost[part] === true;
}

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
  /** A new guard does not look for what a dead one has begun after a reset. */
  readonly forgetsReset?: boolean;
  /** Whatever cannot be read when the large page comes back becomes zeros. */
  readonly zerosAll?: boolean;
  /** Where the large page cannot come back after a reset, what was lost stays lost. */
  readonly clearsNothing?: boolean;
}

/** A step of the machine. `undefined`: the event cannot happen in this state. */
export type Next = { readonly page: PageLife; readonly seen: readonly Seen[] } | undefined;

/** A state, and what was seen on the way to it. */
export function just(page: PageLife, ...seen: Seen[]): Next {
  return { page, seen };
}

/** A list with one value changed. */
export function set<Value>(values: readonly Value[], part: Part, value: Value): readonly Value[] {
  return values.map((old, index) => (index === part ? value : old));
}

/** The guest reads or writes a part; a store makes the next version. */
export function access(page: PageLife, event: Access): Next {
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

/** QEMU parks a virtual CPU that stands at an access; it repeats it when the VM runs again. */
export function parked(page: PageLife): PageLife {
  return page.standing === undefined ? page : { ...page, standing: undefined };
}

/** What was salvaged is thrown away: an error that came since has taken the only copy. */
export function forgets(page: PageLife): PageLife {
  const gone =
    page.mapped === "large" ? page.gone.map((old, part) => old || page.bad[part] === true) : page.gone;
  return { ...page, known: undefined, gone };
}
