/**
 * Where a spare lies in the tracee: anonymous memory of a large page's size, and in front of it the tag that says what it is for.
 * Nothing of it is populated yet.
 */

import { alignUp, type Hva, hva } from "../linux/address.js";
import { writeAt } from "../linux/file-transfer.js";
import { allocateNative, mapping } from "../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { writeProcess } from "../linux/process-memory.js";
import { systemCall } from "../linux/system-call.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { copyAttributes, type RamAttributes } from "./ram-attributes.js";
import { encodeTag, type SpareTag, TAG_NAME, TAG_SIZE } from "./spare-tag.js";

/** Named points between which the guard could die; tests end it at each of them. */
export type RegionStep = "spare-named" | "spare-mapped";

/** What a spare is made with. */
export interface RegionInit {
  /** Bytes of the large pages it can stand for. */
  readonly size: number;
  /** PROT_… bits of the RAM. */
  readonly protection: number;
  /** What the RAM carries. */
  readonly attributes: RamAttributes;
  /** pidfd of the tracee. */
  readonly processDescriptor: number;
}

const MFD_CLOEXEC = 1;
/** A page table covers so much: a region that begins at a multiple of it moves by its page tables, not page by page (mm/mremap.c). */
const ALIGNMENT = 2 * 1024 * 1024;
const text = allocateNative(TAG_SIZE);

/** See the head of the file. */
export class SpareRegion {
  readonly size: number;
  /** Address in the tracee. */
  readonly start: Hva;
  /** The tag's file: ours; and where in it the tag is. */
  readonly #record: number;
  readonly #tagOffset: bigint;

  private constructor(size: number, start: Hva, record: number, tagOffset: bigint) {
    this.size = size;
    this.start = start;
    this.#record = record;
    this.#tagOffset = tagOffset;
  }

  /**
   * @param remote a borrowed thread of the tracee
   * @param onStep called at each of them
   * @throws HugemendError: what was built is gone again, or is found by its tag and removed by the next guard
   */
  static layOut(remote: RemoteCalls, init: RegionInit, onStep: (step: RegionStep) => void): SpareRegion {
    const { size, processDescriptor } = init;
    writeProcess(remote.pid, remote.data, Buffer.from(`${TAG_NAME}\0`, "latin1"));
    // SAFETY: a new descriptor that nothing in the tracee knows of; our death leaves an empty file open there, no more.
    const file = Number(remote.call("memfd_create", remote.data, MFD_CLOEXEC));
    let record = -1;
    let placed: { readonly tag: bigint; readonly tagOffset: bigint } | undefined;
    try {
      record = takeDescriptor(processDescriptor, file);
      placed = SpareRegion.#findPlace(remote, { file, record, size });
      const { tag, tagOffset } = placed;
      const start = hva(tag + BigInt(TAG_SIZE));
      const region = new SpareRegion(size, start, record, tagOffset);
      region.note({ descriptor: null, page: null });
      onStep("spare-named");
      const flags = mapping.MAP_PRIVATE | mapping.MAP_ANONYMOUS | mapping.MAP_NORESERVE | mapping.MAP_FIXED;
      // SAFETY: replaces a part of our own new mapping.
      remote.call("mmap", start, size, init.protection, flags, -1, 0);
      onStep("spare-mapped");
      copyAttributes(remote, start, size, init.attributes);
      return region;
    } catch (error) {
      if (record >= 0) closeDescriptor(record);
      // SAFETY: our own new mappings, nothing else lies between.
      if (placed !== undefined) remote.call("munmap", placed.tag, TAG_SIZE + size);
      throw error;
    } finally {
      // SAFETY: the mapping holds its own reference to the file.
      remote.call("close", file);
    }
  }

  /** Maps the file where a region behind its first page is aligned. @returns where that page is, and what part of the file it shows */
  static #findPlace(
    remote: RemoteCalls,
    { file, record, size }: { file: number; record: number; size: number },
  ): { tag: bigint; tagOffset: bigint } {
    const whole = TAG_SIZE + size + ALIGNMENT;
    // SAFETY: our own new file: a hole as a whole.
    systemCall("ftruncate", record, whole);
    const flags = mapping.MAP_SHARED | mapping.MAP_NORESERVE;
    // SAFETY: a new mapping where nothing was, named from its first moment on. A new guard finds it by its name and removes it.
    const found = remote.call("mmap", 0, whole, mapping.PROT_READ, flags, file, 0);
    const start = alignUp(found + BigInt(TAG_SIZE), ALIGNMENT);
    const tag = start - BigInt(TAG_SIZE);
    const end = start + BigInt(size);
    const rest = found + BigInt(whole) - end;
    // SAFETY: both ends of our own new mapping, which nobody uses; what is left after our death goes by its name as well.
    if (tag > found) remote.call("munmap", found, tag - found);
    if (rest > 0n) remote.call("munmap", end, rest);
    return { tag, tagOffset: tag - found };
  }

  /** Address of the tag. */
  get tag(): Hva {
    return hva(this.start - BigInt(TAG_SIZE));
  }

  /** Says in the tag what the region is for. No call in the tracee: it is a write to a file of ours. @throws SystemCallError */
  note(tag: Omit<SpareTag, "size">): void {
    encodeTag({ size: this.size, ...tag }).copy(text.bytes);
    writeAt(this.#record, text.address, TAG_SIZE, this.#tagOffset);
  }

  /** Lets go of the tag's file: the tracee's mapping of it stays. */
  release(): void {
    closeDescriptor(this.#record);
  }

  /**
   * Removes it from the tracee, where it is not in use. Once: if it fails the call may have been made all the same, or be made later, and these
   * addresses belong to whoever gets them next. What is left goes by its tag.
   *
   * @param remote a borrowed thread @throws TraceeError
   */
  remove(remote: RemoteCalls): void {
    this.release();
    // SAFETY: our own mappings, never in place.
    remote.call("munmap", this.tag, this.size + TAG_SIZE);
  }
}
