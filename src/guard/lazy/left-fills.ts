/**
 * Replacements that a dead guard has left unfilled. Whoever touches what is missing waits, because the userfaultfd is still open in the
 * VM; a new guard takes it over and goes on.
 */

import { closeSync, openSync } from "node:fs";
import { writeAt } from "../../linux/file-transfer.js";
import { allocateNative } from "../../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../../linux/pidfd.js";
import { readDescriptors } from "../../linux/procfs/fdinfo.js";
import { mapFilesPath } from "../../linux/procfs/map-files.js";
import { type Mapping, readMaps } from "../../linux/procfs/maps.js";
import { readSmapsEntry } from "../../linux/procfs/smaps.js";
import { readMessages, wakeAll } from "../../linux/userfaultfd-fill.js";
import type { FoundOverlays } from "../../recovery/classify.js";
import type { OverlayIdentity } from "../../recovery/overlay-name.js";
import { memoryNeeded } from "../../recovery/plan.js";
import { openToRead } from "../../recovery/ram-file.js";
import { encodeTag, isTagPath, readTag, TAG_SIZE } from "../../recovery/spare-tag.js";
import type { GuardContext } from "../guard-context.js";
import { tellTrouble } from "../tell-trouble.js";
import type { PlacedSpare } from "./lazy-fills.js";

/** A userfaultfd of a dead guard, by its number in the VM. */
export type LeftUserfaultfds = ReadonlyMap<number, { readonly ours: number }>;

/**
 * Takes the userfaultfds of unfinished replacements, and what they have to tell: the thread that moved one may still wait for
 * that. Before the VM is traced, so that no thread is held up.
 *
 * @returns by their number in the VM; ours to close
 */
export function takeLeftUserfaultfds(pid: number, processDescriptor: number): LeftUserfaultfds {
  const taken = new Map<number, { ours: number }>();
  const tags = readMaps(pid).filter(({ path }) => isTagPath(path));
  if (tags.length === 0) return taken;
  const real = new Set(
    readDescriptors(pid, () => false).flatMap(({ fd, kind }) => (kind === "userfaultfd" ? [fd] : [])),
  );
  for (const tag of tags) {
    const says = readTag(pid, tag);
    if (!says?.page || says.descriptor === null || !real.has(says.descriptor)) continue;
    const ours = tryTake(processDescriptor, says.descriptor);
    if (ours === undefined) continue;
    readMessages(ours);
    // Faults that the dead guard had read would wait for ever.
    wakeAll(ours, says.page.base, says.size);
    taken.set(says.descriptor, { ours });
  }
  return taken;
}

/** @returns undefined if it was closed meanwhile */
function tryTake(processDescriptor: number, descriptor: number): number | undefined {
  try {
    return takeDescriptor(processDescriptor, descriptor);
  } catch {
    return undefined;
  }
}

/** Goes on with what is in place. Never throws. @param found overlays of dead guards */
export function adoptFills(
  guard: GuardContext,
  { placed, torn }: Pick<FoundOverlays, "placed" | "torn">,
  left: LeftUserfaultfds,
): void {
  const used = new Set<number>();
  for (const one of [...placed, ...torn]) {
    const { overlay, tag } = one;
    const theirs = tag?.says.descriptor ?? null;
    const taken = theirs === null ? undefined : left.get(theirs);
    if (tag === undefined || theirs === null || taken === undefined || used.has(theirs)) continue;
    used.add(theirs);
    const filling = {
      page: overlay,
      spare: adopted(guard.pid, tag.mapping, overlay, taken.ours, theirs),
      source: { ...sourceOf(guard, overlay), size: overlay.size, pretendBad: guard.pretendBad },
      since: performance.now(),
      onlyTouched: onlyTouched(guard, overlay),
    };
    // Of one that is torn nothing is joined: filling it ends at once if it is full.
    if (torn.includes(one) || isWatched(guard.pid, overlay)) guard.fills.start(filling);
    else guard.fills.closeUp(filling);
  }
  for (const [theirs, { ours }] of left) if (!used.has(theirs)) closeDescriptor(ours);
}

/** As for a new replacement (recovery/plan.ts), by what memory there is now: the dead guard has told nobody how it had decided. */
function onlyTouched({ policy, view }: GuardContext, { size }: OverlayIdentity): boolean {
  if (policy.whenShort !== "touched") return false;
  const needed = memoryNeeded(size);
  try {
    return view.headroom.bytes(needed) < needed;
  } catch {
    // The background fill looks at memory again.
    return false;
  }
}

/** Full and unregistered already, if nothing watches any of it. When in doubt it is filled: that never does harm. */
function isWatched(pid: number, { base, size }: OverlayIdentity): boolean {
  const end = base + BigInt(size);
  try {
    // The kernel may have merged it with a replacement beside it, or QEMU have split it.
    const parts = readMaps(pid).filter((mapping) => mapping.start < end && mapping.end > base);
    return parts.some(({ start }) => readSmapsEntry(pid, start)?.vmFlags.has("um") ?? true);
  } catch {
    return true;
  }
}

function sourceOf(guard: GuardContext, overlay: OverlayIdentity): { file: number; offset: bigint } {
  try {
    return { file: openToRead(guard.pid, guard.processDescriptor, overlay), offset: overlay.offset };
  } catch (error) {
    // What is touched is lost then, for nobody may wait for it for ever. The rest waits: another guard may do better.
    tellTrouble(guard, "The file of a replaced large page cannot be opened", error);
    return { file: -1, offset: overlay.offset };
  }
}

function adopted(
  pid: number,
  tag: Mapping,
  { size }: OverlayIdentity,
  userfaultfd: number,
  theirs: number,
): PlacedSpare {
  return {
    userfaultfd,
    theirs,
    note(says): void {
      const text = allocateNative(TAG_SIZE);
      encodeTag({ size, ...says }).copy(text.bytes);
      const file = openSync(mapFilesPath(pid, tag), "r+");
      try {
        writeAt(file, text.address, TAG_SIZE, tag.offset);
      } finally {
        closeSync(file);
        text.release();
      }
    },
    release: () => closeDescriptor(userfaultfd),
  };
}
