/**
 * Replacements that a dead guard has left unfilled, before the new one is ready: QEMU may need a missing page to answer its monitor, and
 * whoever waits for one waits whatever is wrong with the ledger.
 */

import { closeDescriptor, openProcess } from "../../linux/pidfd.js";
import { readOverlays } from "../../recovery/classify.js";
import { FillError } from "../../recovery/page-fill.js";
import { openRamFile, type RamFile } from "../../recovery/ram-file.js";
import { takeLeftUserfaultfds } from "./left-fills.js";
import { LocalFill } from "./local-fill.js";

interface Early {
  readonly fill: LocalFill;
  readonly file: RamFile;
  /** Settles when the VM, or the replacement, is gone. */
  readonly gone: Promise<void>;
}

/** See the head of the file. Serves until it is disposed of: then the next to come wakes all who wait. */
export class EarlyFills implements Disposable {
  readonly #fills: Early[] = [];
  readonly #descriptors: number[] = [];

  /** Never throws: what cannot be served now is taken over later, or not at all. @param pid the VM, not traced yet */
  constructor(pid: number, pretendBad: readonly number[]) {
    try {
      this.#begin(pid, pretendBad);
    } catch {
      // As said above.
    }
  }

  #begin(pid: number, pretendBad: readonly number[]): void {
    const processDescriptor = openProcess(pid);
    this.#descriptors.push(processDescriptor);
    const left = takeLeftUserfaultfds(pid, processDescriptor);
    for (const { ours } of left.values()) this.#descriptors.push(ours);
    for (const { overlay, tag } of left.size === 0 ? [] : readOverlays(pid).placed) {
      const taken = left.get(tag?.says.descriptor ?? -1);
      if (taken === undefined) continue;
      const { base, offset, size } = overlay;
      const file = openRamFile(pid, processDescriptor, overlay);
      const source = { file: file.ours, offset, size, pretendBad };
      let fill: LocalFill | undefined;
      const gone = new Promise<void>((resolve) => {
        fill = new LocalFill({ userfaultfd: taken.ours, base, source }, (error) => {
          if (error instanceof FillError && error.vanished) resolve();
        });
      });
      if (fill !== undefined) this.#fills.push({ file, fill, gone });
    }
  }

  /** Fills all of them, for there will be no guard. */
  async finish(): Promise<void> {
    await Promise.all(
      this.#fills.map(({ fill, gone }) =>
        Promise.race([gone, new Promise<void>((resolve) => fill.fillAll(() => resolve()))]),
      ),
    );
  }

  [Symbol.dispose](): void {
    for (const { fill, file } of this.#fills.splice(0)) {
      fill.stop();
      file[Symbol.dispose]();
    }
    for (const descriptor of this.#descriptors.splice(0)) closeDescriptor(descriptor);
  }
}
