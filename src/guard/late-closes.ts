/**
 * Descriptors of ours in the VM that nothing needs any more. Closing one takes a thread of the VM that can be borrowed, and all of them may
 * stand at errors: then it is tried again.
 */

import type { Tracee } from "../tracee/tracee.js";

/** Each waits twice as long as the one before. */
const MOST_TRIES = 6;
const FIRST_WAIT_MS = 100;

/** See the head of the file. */
export class LateCloses {
  readonly #tracee: Pick<Tracee, "withAny">;
  readonly #later: (chore: () => void) => void;
  readonly #open = new Set<number>();

  /** @param later does something once no thread waits at an error any more */
  constructor(tracee: Pick<Tracee, "withAny">, later: (chore: () => void) => void) {
    this.#tracee = tracee;
    this.#later = later;
  }

  /** Whether any is still open. What stays so is closed by `tidyUp` (takeover.ts) or the next guard. */
  get any(): boolean {
    return this.#open.size > 0;
  }

  /** Closes one at once if that can be, or else soon. Never throws. @param theirs its number in the VM, which watches nothing that is in use */
  close(theirs: number): void {
    this.#open.add(theirs);
    this.#try(1);
  }

  /** Closes one once no thread waits at an error any more. Never throws. */
  closeLater(theirs: number): void {
    this.#open.add(theirs);
    this.#later(() => this.#try(1));
  }

  #try(tries: number): void {
    if (!this.any) return;
    try {
      this.#tracee.withAny((remote) => {
        for (const theirs of this.#open) {
          this.#open.delete(theirs);
          // SAFETY: a descriptor of ours in the VM, which nothing there knows of. If we die the next guard closes it.
          remote.call("close", theirs);
        }
      });
    } catch {
      if (tries === MOST_TRIES) return;
      const again = (): void => this.#later(() => this.#try(tries + 1));
      setTimeout(again, FIRST_WAIT_MS * 2 ** tries).unref();
    }
  }
}
