/** A guard whose background filler stops in the middle of its work, and stays there until it is let go. */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SystemCallName } from "../../src/linux/arch/architecture.js";
import { currentArchitecture } from "../../src/linux/arch/current.js";
import { insteadOfWorker } from "./other-worker.js";
import { TemporaryFolder } from "./temporary-folder.js";
import { waitUntil } from "./wait-until.js";

/** Code of the filler's thread: `held` and `release` are files. Each such call waits until there is a file `release`. */
function code(call: SystemCallName, held: string, release: string): string {
  const number = currentArchitecture().systemCalls[call];
  return `
    import { existsSync, writeFileSync } from "node:fs";
    import koffi from ${JSON.stringify(import.meta.resolve("koffi"))};
    const { load } = koffi;
    const nobody = new Int32Array(new SharedArrayBuffer(4));
    function hold() {
      writeFileSync(${JSON.stringify(held)}, "");
      while (!existsSync(${JSON.stringify(release)})) Atomics.wait(nobody, 0, 0, 20);
    }
    koffi.load = (...words) => {
      const library = load(...words);
      return { func: (...types) => {
        const call = library.func(...types);
        return (number, ...rest) => {
          if (Number(number) === ${number}) hold();
          return call(number, ...rest);
        };
      } };
    };
    await import(process.env["HUGEMEND_HELD_THREAD"]);`;
}

/** See the head of the file. */
export class HeldFiller implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly #held = join(this.#folder.path, "held");
  readonly #release = join(this.#folder.path, "release");
  /** For Node, when it starts the guard. */
  readonly flag: string;

  /** @param call before which it stops: of an ioctl it is the copy of a piece that has been read */
  constructor(call: "ioctl" | "process_madvise") {
    const held = `data:text/javascript,${encodeURIComponent(code(call, this.#held, this.#release))}`;
    this.flag = insteadOfWorker(`class extends Worker {
      constructor(url, options) {
        if (!String(url).endsWith("/fill-thread.js")) super(url, options);
        else super(new URL(${JSON.stringify(held)}), { ...options, env: { HUGEMEND_HELD_THREAD: String(url) } });
      }
    }`);
  }

  /** @throws Error if the filler does not come to that call */
  async untilHeld(): Promise<void> {
    await waitUntil("the filler is held", () => existsSync(this.#held));
  }

  /** Lets it go on. */
  release(): void {
    writeFileSync(this.#release, "");
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
