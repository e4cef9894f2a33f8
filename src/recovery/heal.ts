/**
 * Step 9 of the walk, after a guest reset: the poisoned large page leaves its file, a healthy one from the pool takes its
 * place, and the small pages go.
 *
 * The new large page gets what the small ones hold now, lost pages become zeros: after a reset nothing of them is expected,
 * but firmware may have put things into the rest before we came. It is filled through a mapping of the guard's own, so that a guard
 * which dies leaves nothing in the VM's process.
 */

import { hex, hva } from "../linux/address.js";
import { errno } from "../linux/errno.js";
import { punchHole } from "../linux/file-transfer.js";
import { hasFreeLargePage } from "../linux/large-page-pool.js";
import { mapping as flags, mapFile } from "../linux/native-memory.js";
import { readProcessInto } from "../linux/process-memory.js";
import { trySystemCall } from "../linux/system-call.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import type { PlacedOverlay } from "./classify.js";
import { clearLostPages } from "./clear-lost-pages.js";
import { SMALL_PAGE } from "./large-page.js";
import { lostNow } from "./lost-now.js";
import type { OverlayIdentity } from "./overlay-name.js";
import { isStill, openRamFile, type RamFile } from "./ram-file.js";
import { RecoveryError } from "./recovery-error.js";

/** Named points between which the guard could die; tests end it at each of them. `lost-cleared` only if the pool is empty. */
export const healSteps = [
  "hole-punched",
  "page-allocated",
  "heal-copied",
  "heal-swapped",
  "lost-cleared",
] as const;

/** One of {@link healSteps}. */
export type HealStep = (typeof healSteps)[number];

/** What became of an overlay. `cleared`: the pool had no page, so the small pages stay, without their lost ones. */
export type HealOutcome = "healed" | "cleared";

/** What a heal works with. */
export interface HealInit {
  /** pidfd of the VM. */
  readonly processDescriptor: number;
  /** An overlay in place. */
  readonly placed: PlacedOverlay;
  /** Offsets of the lost pages of which nothing is expected any more: they become zeros. No others may be lost. */
  readonly forgiven: ReadonlySet<number>;
  readonly onStep: (step: HealStep) => void;
}

const PIECE = 256 * 1024;

/**
 * The new mapping carries none of QEMU's advice yet.
 *
 * @param remote a borrowed thread of the VM, which stands still as a whole
 * @throws HugemendError: the small pages are in place as before
 */
export function healLargePage(remote: RemoteCalls, init: HealInit): HealOutcome {
  const { placed, onStep } = init;
  const { overlay } = placed;
  refuseSplit(placed);
  refuseNewLoss(lostNow(remote.pid, overlay.base, overlay.size), init);
  // Without a page the hole would be for nothing: whoever maps the file later reads zeros from it.
  if (!hasFreeLargePage(overlay.size)) return clear(remote, init);
  using file = openRamFile(remote.pid, init.processDescriptor, overlay);
  punchOut(file, overlay);
  onStep("hole-punched");
  if (!allocate(file, overlay)) return clear(remote, init);
  onStep("page-allocated");
  try {
    copyBack(remote.pid, file, init);
  } catch (error) {
    // Back to the pool with it.
    punchOut(file, overlay);
    throw error;
  }
  onStep("heal-copied");
  mapOver(remote, file, placed);
  onStep("heal-swapped");
  return "healed";
}

function clear(remote: RemoteCalls, { placed, forgiven, onStep }: HealInit): HealOutcome {
  clearLostPages(remote, placed, forgiven);
  onStep("lost-cleared");
  return "cleared";
}

function refuseSplit({ overlay, mapping }: PlacedOverlay): void {
  if (mapping.start === overlay.base && mapping.end - mapping.start === BigInt(overlay.size)) return;
  throw new RecoveryError("HM_HEAL_SPLIT", "The replacement is no longer one mapping", {
    present: `${mapping.end - mapping.start} bytes`,
    expected: `${overlay.size} bytes`,
    remedy: "The small pages stay in place",
  });
}

/** What was lost since the reset the guest still expects: zeros would be wrong bytes. */
function refuseNewLoss(lost: readonly number[], { placed, forgiven }: HealInit): void {
  const first = lost.find((offset) => !forgiven.has(offset));
  if (first === undefined) return;
  throw new RecoveryError("HM_HEAL_NEW_LOSS", "A small page was lost after the guest had been reset", {
    present: `the 4 KiB at ${hex(hva(placed.overlay.base + BigInt(first)))}`,
    remedy: "The small pages stay in place, so that the guest is told of it; the next reset tries again",
  });
}

function punchOut({ ours }: RamFile, { offset, size }: OverlayIdentity): void {
  // SAFETY: the overlay hides this part of the file from the VM, and nobody else maps it; after our death the part is a hole
  // that the next guard fills.
  punchHole(ours, offset, size);
}

/** @returns false if the pool has no page to give */
function allocate({ ours }: RamFile, { offset, size }: OverlayIdentity): boolean {
  // SAFETY: as above; takes a page from the pool or fails cleanly. After our death the next guard begins with a hole again.
  const { errno: error } = trySystemCall("fallocate", ours, 0, offset, size);
  if (error === 0) return true;
  if (error === errno.ENOSPC || error === errno.ENOMEM) return false;
  throw new RecoveryError("HM_HEAL_ALLOCATE", "The RAM file cannot get a new large page", {
    present: `errno ${error}`,
    remedy: "The small pages stay in place",
  });
}

/** The new page holds zeros; what cannot be read stays so. */
function copyBack(pid: number, { ours }: RamFile, init: HealInit): void {
  const { base, offset, size } = init.placed.overlay;
  // SAFETY: the page is the file's own and hidden from the VM by the overlay; our death ends the mapping, no more.
  const page = mapFile(ours, offset, size);
  const copy = (at: number, length: number): boolean =>
    readProcessInto(pid, hva(base + BigInt(at)), length, page.address + BigInt(at));
  try {
    for (let piece = 0; piece < size; piece += PIECE) {
      if (copy(piece, PIECE)) continue;
      for (let at = piece; at < piece + PIECE; at += SMALL_PAGE)
        if (!copy(at, SMALL_PAGE)) refuseNewLoss([at], init);
    }
  } finally {
    page.release();
  }
}

function mapOver(remote: RemoteCalls, { theirs }: RamFile, { overlay, mapping }: PlacedOverlay): void {
  if (!isStill(remote.pid, theirs, overlay)) {
    throw new RecoveryError("HM_HEAL_NO_FILE", "The process has just closed its RAM file", {
      remedy: "The small pages stay in place",
    });
  }
  const protection = (mapping.read ? flags.PROT_READ : 0) | (mapping.write ? flags.PROT_WRITE : 0);
  const how = flags.MAP_SHARED | flags.MAP_FIXED;
  // A failure here leaves the page in the file: a thread that got stuck on its way may map it later all the same.
  // SAFETY: the finished large page takes the place of the small ones in one call under the kernel's mmap lock, which every page
  // fault waits for; the page is allocated, so nothing needs to be reserved. If we die, it has happened or it has not.
  remote.call("mmap", overlay.base, overlay.size, protection, how, theirs, overlay.offset);
}
