/**
 * Steps 5 and 6 of the walk: build the replacement aside, then move it over the large page with one mremap(2).
 *
 * No instant exists in which the guest could read a hole, or a zero that was data: until the mremap the large page is mapped
 * (and raises SIGBUS), after it the finished overlay is.
 */

import { type Hva, hva } from "../linux/address.js";
import { writeAt } from "../linux/file-transfer.js";
import { mapping } from "../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { writeProcess } from "../linux/process-memory.js";
import { systemCall } from "../linux/system-call.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { poisonLostPages } from "./hwpoison-lost-pages.js";
import { keepSmall } from "./keep-small.js";
import type { LargePage } from "./large-page.js";
import type { PageSource } from "./large-page-reader.js";
import { markLostPages } from "./lost-pages.js";
import { moveOver } from "./move-over.js";
import { setFillPolicy } from "./numa-policy.js";
import { overlayName } from "./overlay-name.js";
import { copyAttributes, type RamAttributes } from "./ram-attributes.js";
import { type Salvaged, salvage } from "./salvage.js";

/** Named points between which the guard could die; tests end it at each of them. */
export const swapSteps = [
  "overlay-created",
  "overlay-taken",
  "overlay-mapped",
  "salvaged",
  "marker-open",
  "lost-marked",
  "advice-copied",
  "intent-recorded",
  "swapped",
  "overlay-closed",
] as const;

/** One of {@link swapSteps}. */
export type SwapStep = (typeof swapSteps)[number];

/**
 * How lost pages are marked: `uffd` by markers in the page tables of QEMU, `hwpoison` by poison in the overlay's file, which costs
 * a healthy page of the host for each.
 */
export type PoisonMethod = "uffd" | "hwpoison";

/** What a swap works with. */
export interface SwapInit {
  readonly page: LargePage;
  readonly source: PageSource;
  /** pidfd of the tracee. */
  readonly processDescriptor: number;
  /** What the large page's mapping carried and the replacement must carry too. */
  readonly attributes: RamAttributes;
  readonly poisonWith: PoisonMethod;
  /** Called when all is ready, right before the one step that counts; throws to call it off. */
  readonly commit: (salvaged: Salvaged) => void;
  readonly onStep: (step: SwapStep) => void;
}

const MFD_CLOEXEC = 1;

/**
 * @param remote a borrowed thread of the tracee
 * @returns what was copied and what is lost
 * @throws HugemendError of the step that failed: the mapping is as it was, and what was built is gone again
 */
export function swapLargePage(remote: RemoteCalls, init: SwapInit): Salvaged {
  const { page, onStep } = init;
  writeProcess(remote.pid, remote.data, Buffer.from(`${overlayName(page)}\0`, "latin1"));
  // SAFETY: a new descriptor that nothing in the tracee knows of; our death leaves an empty file open there, no more.
  const theirs = Number(remote.call("memfd_create", remote.data, MFD_CLOEXEC));
  let swapped = false;
  try {
    onStep("overlay-created");
    using overlay = takeOverlay(theirs, init);
    const { read, write } = page.mapping;
    const protection = (read ? mapping.PROT_READ : 0) | (write ? mapping.PROT_WRITE : 0);
    // SAFETY: a new mapping where nothing was; our death leaves it unused. A new guard finds it by its name and removes it.
    const map = (): Hva => {
      const mapped = hva(remote.call("mmap", 0, page.size, protection, mapping.MAP_SHARED, theirs, 0));
      keepSmall(remote, mapped, page.size);
      return mapped;
    };
    let region: Hva | undefined = map();
    let salvaged: Salvaged;
    try {
      onStep("overlay-mapped");
      setFillPolicy(remote, { region, size: page.size }, init.attributes.policy);
      salvaged = salvage(init.source, (from, size, position) =>
        writeAt(overlay.descriptor, from, size, BigInt(position)),
      );
      onStep("salvaged");
      if (init.poisonWith === "hwpoison") {
        // The kernel tells whoever maps a page of its poison: nobody may, and the NUMA policy stays with the file.
        // SAFETY: our own new mapping.
        remote.call("munmap", region, page.size);
        region = undefined;
        poisonLostPages(overlay.descriptor, salvaged.lost);
        // SAFETY: as above.
        region = map();
      } else {
        markLostPages(remote, init.processDescriptor, region, page.size, salvaged.lost, () =>
          onStep("marker-open"),
        );
      }
      onStep("lost-marked");
      copyAttributes(remote, region, page.size, init.attributes);
      onStep("advice-copied");
      init.commit(salvaged);
      onStep("intent-recorded");
      moveOver(remote, page, { start: region, size: page.size });
    } catch (error) {
      // SAFETY: the region is still our own new mapping: moveOver is the last step, and it failed or was not reached.
      if (region !== undefined) remote.call("munmap", region, page.size);
      throw error;
    }
    swapped = true;
    onStep("swapped");
    return salvaged;
  } finally {
    closeOverlay(remote, theirs, swapped);
    onStep("overlay-closed");
  }
}

/** A descriptor that stays open costs nothing and is closed by the next guard: it must not make a swap look undone. */
function closeOverlay(remote: RemoteCalls, theirs: number, swapped: boolean): void {
  try {
    // SAFETY: the mapping holds its own reference to the file.
    remote.call("close", theirs);
  } catch (error) {
    if (!swapped) throw error;
  }
}

/** Our own descriptor of the overlay's file, at its full size. */
function takeOverlay(
  theirs: number,
  { page, processDescriptor, onStep }: SwapInit,
): Disposable & { descriptor: number } {
  const descriptor = takeDescriptor(processDescriptor, theirs);
  const overlay = { descriptor, [Symbol.dispose]: () => closeDescriptor(descriptor) };
  try {
    onStep("overlay-taken");
    // SAFETY: our own new file.
    systemCall("ftruncate", descriptor, page.size);
    return overlay;
  } catch (error) {
    overlay[Symbol.dispose]();
    throw error;
  }
}
