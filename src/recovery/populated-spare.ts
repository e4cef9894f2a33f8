/**
 * A spare for an eager replacement: a region whose memory is there already. Allocating 512 small pages takes longer than copying into
 * them, so it is done while the VM is healthy. It costs a large page's bytes of memory, no descriptor.
 */

import { hva } from "../linux/address.js";
import { allocateNative } from "../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { writeProcessFrom } from "../linux/process-memory.js";
import {
  enablePoison,
  markPoisoned,
  registerRange,
  UFFD_CLOEXEC,
  UFFD_USER_MODE_ONLY,
  unregisterRange,
} from "../linux/userfaultfd.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { keepSmall } from "./keep-small.js";
import { lostRanges } from "./lost-ranges.js";
import type { OverlayIdentity } from "./overlay-name.js";
import { RecoveryError } from "./recovery-error.js";
import { type RegionInit, SpareRegion } from "./spare-region.js";

/** Named points between which the guard could die; tests end it at each of them. */
export const populatedSpareSteps = [
  "spare-named",
  "spare-mapped",
  "spare-marker-new",
  "spare-marker-open",
  "spare-populated",
] as const;

/** One of {@link populatedSpareSteps}. */
export type PopulatedSpareStep = (typeof populatedSpareSteps)[number];

/** What a spare is made with. */
export interface PopulatedSpareInit extends RegionInit {
  readonly onStep: (step: PopulatedSpareStep) => void;
}

const MADV_DONTNEED = 4;
/** Takes some tens of microseconds, for which whoever stands at an error would wait. */
const PIECE = 64 * 1024;
const zeros = allocateNative(PIECE);

/** See the head of the file. */
export class PopulatedSpare {
  readonly region: SpareRegion;
  /** Ours, and only ours: what marks lost pages. Nobody ever waits for it. */
  readonly #userfaultfd: number;
  /** Whether it is in its place, or holds markers: then it serves no other. What it holds of a page is overwritten by the next. */
  spoiled = false;
  /** Bytes that are there. */
  #populated = 0;
  #ready = false;
  readonly #onStep: PopulatedSpareInit["onStep"];

  private constructor(region: SpareRegion, userfaultfd: number, { onStep }: PopulatedSpareInit) {
    this.region = region;
    this.#userfaultfd = userfaultfd;
    this.#onStep = onStep;
  }

  /**
   * It has no memory yet: see {@link populateNext}.
   *
   * @param remote a borrowed thread of the tracee
   * @throws HugemendError: what was built is gone again, or is found by its tag and removed by the next guard
   */
  static prepare(remote: RemoteCalls, init: PopulatedSpareInit): PopulatedSpare {
    const region = SpareRegion.layOut(remote, init, init.onStep);
    try {
      keepSmall(remote, region.start, region.size);
      return new PopulatedSpare(region, openMarker(remote, init), init);
    } catch (error) {
      region.remove(remote);
      throw error;
    }
  }

  /**
   * Gives it the next piece of its memory, on the tracee's account. No thread of it stands for that.
   *
   * @param pid the tracee
   * @returns whether it has all of it now
   * @throws LinuxError: there is no memory, or the tracee has ended
   */
  populateNext(pid: number): boolean {
    const { start, size } = this.region;
    const piece = Math.min(PIECE, size - this.#populated);
    // SAFETY: our own region, not in place.
    if (piece > 0) writeProcessFrom(pid, hva(start + BigInt(this.#populated)), zeros.address, piece);
    this.#populated += piece;
    if (this.#ready || this.#populated < size) return this.#ready;
    registerRange(this.#userfaultfd, start, size);
    this.#ready = true;
    this.#onStep("spare-populated");
    return true;
  }

  /** Whether it has some of its memory. */
  get begun(): boolean {
    return this.#populated > 0;
  }

  /** Whether it has all of it. */
  get ready(): boolean {
    return this.#ready;
  }

  /**
   * Puts markers in the place of lost pages, and lets go of the marking.
   *
   * @param remote a borrowed thread of the tracee
   * @param lost byte offsets of the lost 4 KiB pages, ascending
   * @throws LinuxError HM_USERFAULTFD, RemoteCallError, RecoveryError HM_LOST_PAGE_POPULATED
   */
  markLost(remote: RemoteCalls, lost: readonly number[]): void {
    const { start, size } = this.region;
    for (const { offset, bytes } of lostRanges(lost)) {
      // SAFETY: our own region, not in place: what is dropped are zeros that nobody has read.
      remote.call("madvise", start + BigInt(offset), bytes, MADV_DONTNEED);
      if (!markPoisoned(this.#userfaultfd, hva(start + BigInt(offset)), bytes)) throw populated(offset);
    }
    unregisterRange(this.#userfaultfd, start, size);
  }

  /** See {@link SpareRegion.note}. */
  note(page: OverlayIdentity | null): void {
    this.region.note({ descriptor: null, page });
  }

  /** Lets go of our own descriptors. */
  release(): void {
    closeDescriptor(this.#userfaultfd);
    this.region.release();
  }

  /** Removes it from the tracee, once: see {@link SpareRegion.remove}. @param remote a borrowed thread @throws TraceeError */
  remove(remote: RemoteCalls): void {
    closeDescriptor(this.#userfaultfd);
    this.region.remove(remote);
  }
}

/** @returns ours: it lives on when the tracee's is closed, and what it watches nobody uses if we die */
function openMarker(remote: RemoteCalls, { processDescriptor, onStep }: PopulatedSpareInit): number {
  // SAFETY: a descriptor nobody in the tracee knows of, closed below; left open by our death it watches nothing that is in use.
  const theirs = Number(remote.call("userfaultfd", UFFD_USER_MODE_ONLY | UFFD_CLOEXEC));
  onStep("spare-marker-new");
  let ours = -1;
  try {
    try {
      ours = takeDescriptor(processDescriptor, theirs);
      enablePoison(ours);
      onStep("spare-marker-open");
    } finally {
      // SAFETY: the descriptor is ours by right, see above.
      remote.call("close", theirs);
    }
    return ours;
  } catch (error) {
    if (ours >= 0) closeDescriptor(ours);
    throw error;
  }
}

function populated(offset: number): RecoveryError {
  return new RecoveryError("HM_LOST_PAGE_POPULATED", `The lost page at offset ${offset} cannot be marked`, {
    present: "a page is populated there",
    expected: "nothing",
    remedy: "The mapping was left as it was",
  });
}
