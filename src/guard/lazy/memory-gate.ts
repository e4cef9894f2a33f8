/** Whether the background fill of a replacement may take more of the VM's memory. */

import { MemoryHeadroom } from "../../linux/procfs/memory-headroom.js";
import { memoryNeeded } from "../../recovery/plan.js";
import { RecoveryError } from "../../recovery/recovery-error.js";

/** Memory is looked at again after so many bytes. */
const LOOK_EVERY = 32 * 1024 * 1024;
/** So long after it was found to be short, in milliseconds. */
const SHORT_MS = 250;

/** Why the background fill rests, and only that: whoever waits is served. */
export class MemoryIsShort extends RecoveryError {
  override readonly name: string = "MemoryIsShort";

  /** @param left bytes that the VM may take @param needed bytes that must be left */
  constructor(left: number, needed: number) {
    super("HM_FILL", "Memory is short: only what is touched is filled for now", {
      present: `${left} bytes left to the VM`,
      expected: `${needed} bytes`,
      remedy: "Free memory on the host, or raise the limit of QEMU's control group",
    });
  }
}

/** At its control group's limit the kernel ends the VM, and does not wait: what nobody has asked for is not filled then. */
export class MemoryGate implements Disposable {
  readonly #headroom: MemoryHeadroom;
  /** Of the filled bytes: up to here there was memory. */
  #enough = 0;
  #lookAgain = -Infinity;
  #told = false;

  /** @param pid the VM, which pays for the memory */
  constructor(pid: number) {
    this.#headroom = new MemoryHeadroom(pid);
  }

  /** @returns milliseconds until it is worth to ask again */
  pause(now: number): number {
    return Math.max(0, this.#lookAgain - now);
  }

  /**
   * @param filled bytes so far
   * @param now milliseconds, on performance.now()'s clock
   * @throws MemoryIsShort once; from then on the answer is no
   */
  allows(filled: number, now: number): boolean {
    if (filled < this.#enough) return true;
    const needed = memoryNeeded(LOOK_EVERY);
    const left = this.#headroom.bytes(needed);
    if (left >= needed) {
      this.#enough = filled + LOOK_EVERY;
      this.#told = false;
      return true;
    }
    this.#lookAgain = now + SHORT_MS;
    if (this.#told) return false;
    this.#told = true;
    throw new MemoryIsShort(left, needed);
  }

  /** Lets go of what it has open. */
  [Symbol.dispose](): void {
    this.#headroom[Symbol.dispose]();
  }
}
