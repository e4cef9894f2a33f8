/**
 * Step 6 of the walk, lazily: a spare region moves over the large page with one mremap(2), empty as it is. Whoever touches it waits for
 * its page (page-fill.ts): no instant exists in which the guest could read a hole, or a zero that was data.
 */

import { alignDown, hva } from "../linux/address.js";
import { errno, errnoName } from "../linux/errno.js";
import { allocateNative } from "../linux/native-memory.js";
import { copyPages, poisonPage, readMessages } from "../linux/userfaultfd-fill.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { type LargePage, SMALL_PAGE } from "./large-page.js";
import { largePageReader, type PageSource } from "./large-page-reader.js";
import { moveOver } from "./move-over.js";
import { RecoveryError } from "./recovery-error.js";
import type { Spare } from "./spare.js";

/** Named points between which the guard could die; tests end it at each of them. */
export const lazySwapSteps = [
  "bad-found",
  "lazy-intent-recorded",
  "tagged",
  "lazy-lost-marked",
  "moving",
  "moved",
] as const;

/** One of {@link lazySwapSteps}. */
export type LazySwapStep = (typeof lazySwapSteps)[number];

/** What a lazy swap works with. */
export interface LazySwapInit {
  readonly page: LargePage;
  readonly spare: Spare;
  readonly source: PageSource;
  /** Offsets of all that is bad in the page, as far as the kernel has reported it; none if there may be more: then the page is read. */
  readonly reported: readonly number[];
  /** Offset that a thread waits for; undefined if nobody has touched the page yet. */
  readonly touched: number | undefined;
  /** Called when all is known, before anything is done; throws to call it off. @param lost what is known to be lost by then */
  readonly commit: (lost: readonly number[]) => void;
  readonly onStep: (step: LazySwapStep) => void;
}

const PIECE = 2 * 1024 * 1024;
const FIRST_PIECE = 4 * SMALL_PAGE;
const buffer = allocateNative(FIRST_PIECE);

/**
 * @param remote a borrowed thread of the tracee
 * @returns the lost 4 KiB that are known: what has gone bad since is found when it is filled
 * @throws HugemendError: the mapping is as it was; the spare can be used again, unless it says that it is spoiled
 */
export function placeSpare(remote: RemoteCalls, init: LazySwapInit): number[] {
  const { page, spare, source, onStep } = init;
  const lost = findBad(init);
  onStep("bad-found");
  init.commit(lost);
  onStep("lazy-intent-recorded");
  spare.note({ descriptor: spare.theirs, page });
  onStep("tagged");
  // The call waits until the message of the move was taken, so that nobody fills in between (fs/userfaultfd.c mremap_userfaultfd_complete).
  const takeMessage = (): void => {
    onStep("moving");
    if (readMessages(spare.userfaultfd).some(({ kind }) => kind === "remap")) spare.moved = true;
  };
  markLost(spare, lost);
  onStep("lazy-lost-marked");
  if (init.touched !== undefined) placeFirst(spare, source, init.touched);
  const takeTagBack = (): void => spare.note({ descriptor: spare.theirs, page: null });
  moveOver(remote, page, spare.region, { meanwhile: takeMessage, takeTagBack });
  onStep("moved");
  return lost;
}

/**
 * Before the move, and not when they are found missing: KVM looks after a missing page in the background and lets another program of the
 * guest run meanwhile (asynchronous page faults). If it turns out to be lost then, the error meets that one, or the guest's kernel, which panics
 * (arch/x86/kvm/mmu/mmu.c kvm_arch_async_page_ready; seen on Linux 6.12).
 */
function markLost(spare: Spare, lost: readonly number[]): void {
  const { userfaultfd, region } = spare;
  spare.spoiled = true;
  for (const offset of lost) {
    const error = poisonPage(userfaultfd, hva(region.start + BigInt(offset)), SMALL_PAGE);
    if (error === 0 || error === errno.EEXIST) continue;
    throw new RecoveryError("HM_LAZY_MARK", "A lost page cannot be marked in the spare region", {
      present: errnoName(error),
      remedy: "The mapping was left as it was",
    });
  }
}

/** What the thread at the error is about to read: it need not wait for it once more. Whatever fails here is filled later. */
function placeFirst({ userfaultfd, region }: Spare, source: PageSource, touched: number): void {
  const at = alignDown(BigInt(touched), SMALL_PAGE);
  const got = largePageReader(source, buffer.address)(Number(at), FIRST_PIECE);
  if (got > 0) copyPages(userfaultfd, hva(region.start + at), buffer.address, got);
}

/** One good 4 KiB has to be seen as well: a kernel that does not know which part is bad refuses them all. */
function findBad(init: LazySwapInit): number[] {
  const { source } = init;
  const reported = init.reported.filter((offset) => isBad(source, offset));
  const complete = reported.length > 0 && reported.length === init.reported.length;
  const lost = complete ? reported : scan(source);
  const probes = [0, 1, 2, 3].map((quarter) => (quarter * source.size) / 4 + SMALL_PAGE);
  if (probes.every((offset) => isBad(source, offset))) {
    throw new RecoveryError("HM_SALVAGE_ALL_LOST", "None of four places of the large page can be read", {
      expected: "at least one that is intact",
      remedy: "The mapping was left as it was",
    });
  }
  return lost;
}

function isBad(source: PageSource, offset: number): boolean {
  return largePageReader(source, buffer.address)(offset, SMALL_PAGE) === 0;
}

/** Reads all of it. @returns every bad 4 KiB, ascending */
function scan(source: PageSource): number[] {
  const memory = allocateNative(PIECE);
  try {
    const read = largePageReader(source, memory.address);
    const bad: number[] = [];
    for (let position = 0; position < source.size; ) {
      const got = read(position, PIECE);
      if (got === 0) bad.push(position);
      position += got || SMALL_PAGE;
    }
    return bad;
  } finally {
    memory.release();
  }
}
