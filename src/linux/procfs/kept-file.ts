/** A small file of the kernel that is read again and again through one descriptor: opening it costs more than reading it. */

import { closeDescriptor } from "../pidfd.js";
import { openPath, readFromStart } from "../small-file.js";

/** See the head of the file. Nothing is opened before it is read for the first time. */
export class KeptFile implements Disposable {
  readonly #path: string;
  #descriptor: number | undefined;

  /** @param path of a file of at most 32 KiB */
  constructor(path: string) {
    this.#path = path;
  }

  /** @returns what it says now, or undefined if it is not there or cannot be read */
  read(): string | undefined {
    if (this.#descriptor !== undefined) {
      const text = readFromStart(this.#descriptor);
      if (text !== undefined) return text;
      // Of a control group that was removed; there may be a new one of that name.
      this[Symbol.dispose]();
    }
    const { value, errno } = openPath(this.#path);
    if (errno !== 0) return undefined;
    this.#descriptor = Number(value);
    return readFromStart(this.#descriptor);
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeDescriptor(this.#descriptor);
    this.#descriptor = undefined;
  }
}
