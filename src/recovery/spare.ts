/**
 * A spare region for a lazy replacement: everything of it that does not depend on the error, laid out while the VM is healthy. It costs
 * address space and one descriptor, no memory.
 */

import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { enableLazyFill, registerRange } from "../linux/userfaultfd.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { createFullUserfaultfd } from "./full-userfaultfd.js";
import { type RegionInit, SpareRegion } from "./spare-region.js";
import type { SpareTag } from "./spare-tag.js";

/** Named points between which the guard could die; tests end it at each of them. */
export const spareSteps = [
  "spare-named",
  "spare-mapped",
  "spare-opened",
  "spare-watched",
  "spare-ready",
] as const;

/** One of {@link spareSteps}. */
export type SpareStep = (typeof spareSteps)[number];

/** What a spare is made with. */
export interface SpareInit extends RegionInit {
  readonly onStep: (step: SpareStep) => void;
}

/** See the head of the file. */
export class Spare {
  /** Where it waits in the tracee: nothing of it is populated. */
  readonly region: SpareRegion;
  /** Ours. */
  readonly userfaultfd: number;
  /** The tracee's descriptor of it: it must outlive us, so that whoever faults waits instead of reading zeros. */
  readonly theirs: number;
  /** Whether it holds something of a page already: then it can only be used for that one page. */
  spoiled = false;
  /** Whether the kernel has told that it is in its place. */
  moved = false;

  private constructor(region: SpareRegion, userfaultfd: number, theirs: number) {
    this.region = region;
    this.userfaultfd = userfaultfd;
    this.theirs = theirs;
  }

  /**
   * @param remote a borrowed thread of the tracee
   * @throws HugemendError: what was built is gone again, or is found by its tag and removed by the next guard
   */
  static prepare(remote: RemoteCalls, init: SpareInit): Spare {
    const region = SpareRegion.layOut(remote, init, init.onStep);
    try {
      const spare = Spare.#watch(remote, region, init);
      init.onStep("spare-ready");
      return spare;
    } catch (error) {
      region.remove(remote);
      throw error;
    }
  }

  static #watch(remote: RemoteCalls, region: SpareRegion, { processDescriptor, onStep }: SpareInit): Spare {
    const theirs = createFullUserfaultfd(remote, processDescriptor);
    onStep("spare-opened");
    let ours = -1;
    try {
      ours = takeDescriptor(processDescriptor, theirs);
      enableLazyFill(ours);
      registerRange(ours, region.start, region.size);
      region.note({ descriptor: theirs, page: null });
      onStep("spare-watched");
      return new Spare(region, ours, theirs);
    } catch (error) {
      if (ours >= 0) closeDescriptor(ours);
      // SAFETY: the descriptor is ours by right: nothing in the tracee knows of it.
      remote.call("close", theirs);
      throw error;
    }
  }

  /** See {@link SpareRegion.note}. */
  note(tag: Omit<SpareTag, "size">): void {
    this.region.note(tag);
  }

  /** Lets go of our own descriptors: the tracee's stay. */
  release(): void {
    closeDescriptor(this.userfaultfd);
    this.region.release();
  }

  /** Removes an unused spare from the tracee, once: see {@link SpareRegion.remove}. @param remote a borrowed thread of it @throws TraceeError */
  remove(remote: RemoteCalls): void {
    closeDescriptor(this.userfaultfd);
    this.region.remove(remote);
    // SAFETY: nothing in the tracee knows of it. After our death, or if this fails, the next guard closes it, which knows it by its features.
    remote.call("close", this.theirs);
  }
}
