/**
 * Step 6 of the walk with a spare that has its memory already: what can be read goes into it, then it moves over the large page with
 * one mremap(2), complete as it is.
 */

import { hva } from "../linux/address.js";
import { writeProcessFrom } from "../linux/process-memory.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import type { LargePage } from "./large-page.js";
import type { PageSource } from "./large-page-reader.js";
import { moveOver } from "./move-over.js";
import type { PopulatedSpare } from "./populated-spare.js";
import { type Salvaged, salvage } from "./salvage.js";
import { salvageInTracee } from "./salvage-in-tracee.js";

/** Named points between which the guard could die; tests end it at each of them. As in swap.ts where the walk is the same. */
export const populatedSwapSteps = [
  "salvaged",
  "lost-marked",
  "intent-recorded",
  "tagged",
  "swapped",
] as const;

/** One of {@link populatedSwapSteps}. */
export type PopulatedSwapStep = (typeof populatedSwapSteps)[number];

/** What such a swap works with. */
export interface PopulatedSwapInit {
  readonly page: LargePage;
  readonly spare: PopulatedSpare;
  readonly source: PageSource;
  /** The tracee's own descriptor of the RAM file; undefined if it has none that may be used. */
  readonly theirs: number | undefined;
  /** Called when it is known what is lost; throws to call it off: then the spare is as good as before. */
  readonly accept: (salvaged: Salvaged) => void;
  /** Called when all is ready, right before the one step that counts; throws to call it off. */
  readonly commit: (salvaged: Salvaged) => void;
  readonly onStep: (step: PopulatedSwapStep) => void;
}

/**
 * @param remote a borrowed thread of the tracee
 * @returns what was copied and what is lost
 * @throws HugemendError of the step that failed: the mapping is as it was; the spare says whether it is spoiled
 */
export function placePopulated(remote: RemoteCalls, init: PopulatedSwapInit): Salvaged {
  const { page, spare, onStep } = init;
  const salvaged = fill(remote, init);
  onStep("salvaged");
  init.accept(salvaged);
  spare.spoiled = true;
  spare.markLost(remote, salvaged.lost);
  onStep("lost-marked");
  init.commit(salvaged);
  onStep("intent-recorded");
  // From here on a new guard knows what the region is for, wherever it finds it.
  spare.note(page);
  onStep("tagged");
  moveOver(remote, page, spare.region, { takeTagBack: () => spare.note(null) });
  onStep("swapped");
  return salvaged;
}

function fill(remote: RemoteCalls, { page, spare, source, theirs }: PopulatedSwapInit): Salvaged {
  const { region } = spare;
  if (theirs !== undefined) return salvageInTracee(remote, source, page, theirs, region);
  // SAFETY: our own region, not in place.
  return salvage(source, (from, bytes, position) =>
    writeProcessFrom(remote.pid, hva(region.start + BigInt(position)), from, bytes),
  );
}
