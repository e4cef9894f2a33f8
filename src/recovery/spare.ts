/**
 * A spare region: everything of a lazy replacement that does not depend on the error, laid out while the VM is healthy. It costs
 * address space and one descriptor, no memory.
 */

import { type Hva, hva } from "../linux/address.js";
import { writeAt } from "../linux/file-transfer.js";
import { allocateNative, mapping } from "../linux/native-memory.js";
import { closeDescriptor, takeDescriptor } from "../linux/pidfd.js";
import { writeProcess } from "../linux/process-memory.js";
import { systemCall } from "../linux/system-call.js";
import { enableLazyFill, registerRange } from "../linux/userfaultfd.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import { createFullUserfaultfd } from "./full-userfaultfd.js";
import { copyAttributes, type RamAttributes } from "./ram-attributes.js";
import { encodeTag, type SpareTag, TAG_NAME, TAG_SIZE } from "./spare-tag.js";

/** Named points between which the guard could die; tests end it at each of them. */
export const spareSteps = ["spare-named", "spare-mapped", "spare-watched", "spare-ready"] as const;

/** One of {@link spareSteps}. */
export type SpareStep = (typeof spareSteps)[number];

const MFD_CLOEXEC = 1;
const text = allocateNative(TAG_SIZE);

/** What a spare is made with. */
export interface SpareInit {
  /** Bytes of the large pages it can stand for. */
  readonly size: number;
  /** PROT_… bits of the RAM. */
  readonly protection: number;
  /** What the RAM carries. */
  readonly attributes: RamAttributes;
  /** pidfd of the tracee. */
  readonly processDescriptor: number;
  readonly onStep: (step: SpareStep) => void;
}

/** See the head of the file. */
export class Spare {
  readonly size: number;
  readonly protection: number;
  readonly attributes: RamAttributes;
  /** Where it waits in the tracee: nothing of it is populated. */
  readonly region: Hva;
  /** Ours. */
  readonly userfaultfd: number;
  /** The tracee's descriptor of it: it must outlive us, so that whoever faults waits instead of reading zeros. */
  readonly theirs: number;
  /** Whether it holds markers of lost pages already: then it can only be used for that one page. */
  spoiled = false;
  readonly #record: number;

  private constructor(init: SpareInit, region: Hva, record: number, userfaultfd: number, theirs: number) {
    this.size = init.size;
    this.protection = init.protection;
    this.attributes = init.attributes;
    this.region = region;
    this.#record = record;
    this.userfaultfd = userfaultfd;
    this.theirs = theirs;
  }

  /** Address of the tag. */
  get tag(): Hva {
    return hva(this.region - BigInt(TAG_SIZE));
  }

  /**
   * @param remote a borrowed thread of the tracee
   * @throws HugemendError: what was built is gone again, or is found by its tag and removed by the next guard
   */
  static prepare(remote: RemoteCalls, init: SpareInit): Spare {
    const { size, processDescriptor, onStep } = init;
    const whole = size + TAG_SIZE;
    writeProcess(remote.pid, remote.data, Buffer.from(`${TAG_NAME}\0`, "latin1"));
    // SAFETY: a new descriptor that nothing in the tracee knows of; our death leaves an empty file open there, no more.
    const file = Number(remote.call("memfd_create", remote.data, MFD_CLOEXEC));
    let record = -1;
    let start: bigint | undefined;
    try {
      record = takeDescriptor(processDescriptor, file);
      // SAFETY: our own new file.
      systemCall("ftruncate", record, TAG_SIZE);
      writeTag(record, { size, descriptor: null, page: null });
      // SAFETY: a new mapping where nothing was, named from its first moment on. A new guard finds it by its name and removes it.
      start = remote.call(
        "mmap",
        0,
        whole,
        mapping.PROT_READ,
        mapping.MAP_SHARED | mapping.MAP_NORESERVE,
        file,
        0,
      );
      onStep("spare-named");
      const region = hva(start + BigInt(TAG_SIZE));
      const flags = mapping.MAP_PRIVATE | mapping.MAP_ANONYMOUS | mapping.MAP_NORESERVE | mapping.MAP_FIXED;
      // SAFETY: replaces a part of our own new mapping.
      remote.call("mmap", region, size, init.protection, flags, -1, 0);
      onStep("spare-mapped");
      const spare = Spare.#watch(remote, init, region, record);
      copyAttributes(remote, region, size, init.attributes);
      onStep("spare-ready");
      return spare;
    } catch (error) {
      // SAFETY: our own new mappings, nothing else lies between.
      if (start !== undefined) remote.call("munmap", start, whole);
      if (record >= 0) closeDescriptor(record);
      throw error;
    } finally {
      // SAFETY: the mapping holds its own reference to the file.
      remote.call("close", file);
    }
  }

  static #watch(remote: RemoteCalls, init: SpareInit, region: Hva, record: number): Spare {
    const { size, processDescriptor, onStep } = init;
    const theirs = createFullUserfaultfd(remote, processDescriptor);
    let ours = -1;
    try {
      ours = takeDescriptor(processDescriptor, theirs);
      enableLazyFill(ours);
      registerRange(ours, region, size);
      writeTag(record, { size, descriptor: theirs, page: null });
      onStep("spare-watched");
      return new Spare(init, region, record, ours, theirs);
    } catch (error) {
      if (ours >= 0) closeDescriptor(ours);
      // SAFETY: the descriptor is ours by right: nothing in the tracee knows of it.
      remote.call("close", theirs);
      throw error;
    }
  }

  /** Says in the tag what the region is for. No call in the tracee: it is a write to a file of ours. @throws SystemCallError */
  note(tag: Omit<SpareTag, "size">): void {
    writeTag(this.#record, { size: this.size, ...tag });
  }

  /** Lets go of our own descriptors: the tracee's stay. */
  release(): void {
    closeDescriptor(this.userfaultfd);
    closeDescriptor(this.#record);
  }

  /** Removes an unused spare from the tracee. @param remote a borrowed thread of it @throws TraceeError */
  remove(remote: RemoteCalls): void {
    // SAFETY: our own mappings, never in place.
    remote.call("munmap", this.tag, this.size + TAG_SIZE);
    // SAFETY: nothing in the tracee knows of it.
    remote.call("close", this.theirs);
    this.release();
  }
}

function writeTag(file: number, tag: SpareTag): void {
  encodeTag(tag).copy(text.bytes);
  writeAt(file, text.address, TAG_SIZE, 0n);
}
