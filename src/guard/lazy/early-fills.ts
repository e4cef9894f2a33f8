/**
 * Replacements that a dead guard has left unfilled, before the new one is ready: QEMU may need a missing page to answer its monitor, and
 * whoever waits for one waits whatever is wrong with the ledger.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { closeDescriptor, openProcess } from "../../linux/pidfd.js";
import { readMessages } from "../../linux/userfaultfd-fill.js";
import { readOverlays } from "../../recovery/classify.js";
import { newProgress } from "../../recovery/fill-progress.js";
import { FillError } from "../../recovery/page-fill.js";
import { openToRead } from "../../recovery/ram-file.js";
import { takeLeftUserfaultfds } from "./left-fills.js";
import { LocalFill } from "./local-fill.js";

interface Early {
  readonly fill: LocalFill;
  /** -1 if it cannot be opened. */
  readonly file: number;
  /** Set when it is full, or when the VM or the replacement is gone: nobody waits for any of it. */
  readonly state: { settled: boolean };
}

/** As long as nothing can be put in place and nobody asks for anything, in milliseconds. */
const PATIENCE_MS = 30_000;
/** How often it is looked whether all is done. */
const LOOK_MS = 20;

/** See the head of the file. Serves until it is disposed of: then the next to come wakes all who wait. */
export class EarlyFills implements Disposable {
  readonly #fills: Early[] = [];
  readonly #descriptors: number[] = [];
  /** All of them, to be closed. */
  readonly #userfaultfds: number[] = [];
  /** Those of which no replacement is in place yet. */
  #notFilled: readonly number[] = [];

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
    if (left.size === 0) return;
    for (const { ours } of left.values()) this.#userfaultfds.push(ours);
    const { placed, torn } = readOverlays(pid);
    const filled = new Set<number>();
    for (const { overlay, tag } of [...placed, ...torn]) {
      const taken = left.get(tag?.says.descriptor ?? -1);
      if (taken === undefined || filled.has(taken.ours)) continue;
      filled.add(taken.ours);
      const { base, offset, size } = overlay;
      const file = tryOpenToRead(pid, processDescriptor, overlay);
      const source = { file, offset, size, pretendBad };
      const state = { settled: false };
      const job = { userfaultfd: taken.ours, base, source, progress: newProgress(size) };
      const fill = new LocalFill(pid, job, (error) => {
        if (error instanceof FillError && error.vanished) state.settled = true;
      });
      this.#fills.push({ file, fill, state });
    }
    this.#notFilled = this.#userfaultfds.filter((one) => !filled.has(one));
  }

  /**
   * The same at once, for whoever keeps the event loop from its turn: a thread that waits for a page, or in the call that moves a replacement,
   * does not stop for anybody.
   */
  serve(): void {
    for (const { fill } of this.#fills) fill.serve();
    // Of a region that is only just being moved: whoever reads a fault has to serve it, so not of the others.
    for (const one of this.#notFilled) readMessages(one);
  }

  /**
   * Fills all of them, for there will be no guard. Gives up only when for a while it could do nothing for anybody: memory is short, say, and nobody
   * touched what is missing, or could be served. A guard that refuses to start must end some time, so that whoever watches over it can start
   * another one; until then whoever touches what is missing waits, as after the death of a guard.
   *
   * @param patienceMs that while
   * @returns whether all are full
   */
  async finish(patienceMs: number = PATIENCE_MS): Promise<boolean> {
    for (const { fill, state } of this.#fills) {
      fill.fillAll(() => {
        state.settled = true;
      });
    }
    const open = (): Early[] => this.#fills.filter(({ state }) => !state.settled);
    while (open().some(({ fill }) => fill.idle < patienceMs)) await sleep(LOOK_MS);
    return open().length === 0;
  }

  [Symbol.dispose](): void {
    for (const { fill, file } of this.#fills.splice(0)) {
      fill.stop();
      if (file >= 0) closeDescriptor(file);
    }
    for (const descriptor of [...this.#descriptors.splice(0), ...this.#userfaultfds.splice(0)])
      closeDescriptor(descriptor);
  }
}

/** @returns -1 if it cannot be opened: what is touched is lost then, for nobody may wait for it for ever */
function tryOpenToRead(...words: Parameters<typeof openToRead>): number {
  try {
    return openToRead(...words);
  } catch {
    return -1;
  }
}
