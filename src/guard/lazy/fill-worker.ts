/** The guard's end of one thread that serves or fills. */

import { Worker } from "node:worker_threads";
import { closeDescriptor, duplicateDescriptor } from "../../linux/pidfd.js";
import { createWakeUp, wakeUp } from "../../linux/readiness.js";
import type { FillOrder, FromWorker, ToWorker, WorkerData } from "./fill-messages.js";

/** Enough for the code and a few replacements, in MiB. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 1 };

/** Who wants to know. */
export interface WorkerListener {
  told(message: FromWorker): void;
  /** The thread has ended although nobody told it to. */
  died(error: Error): void;
}

/** See the head of the file. */
export class FillWorker {
  readonly #listener: WorkerListener;
  readonly #wake: number;
  readonly #news = new SharedArrayBuffer(4);
  readonly #worker: Worker;
  /** Copies of descriptors that the thread uses: what is the guard's own may be closed, and its number given away, at any moment. */
  readonly #lent = new Map<number, readonly number[]>();
  #ending = false;
  #over = false;

  /** Starts the thread; it works after some tens of milliseconds. @param module file of its code in this folder @throws SystemCallError */
  constructor(module: "serve-thread.js" | "fill-thread.js", listener: WorkerListener) {
    this.#listener = listener;
    this.#wake = createWakeUp();
    const workerData: WorkerData = { wake: this.#wake, news: this.#news };
    this.#worker = new Worker(new URL(module, import.meta.url), {
      workerData,
      resourceLimits: LIMITS,
      execArgv: [],
    });
    // SAFETY: only a thread of this very build is at the other end.
    this.#worker.on("message", (message) => this.#hear(message as FromWorker));
    this.#worker.once("error", (error) =>
      this.#gone(error instanceof Error ? error : new Error(String(error))),
    );
    this.#worker.once("exit", (code) => this.#gone(new Error(`${module} ended with code ${code}`)));
  }

  /** One more for it. @throws SystemCallError */
  take(order: FillOrder): void {
    const { job, id } = order;
    const lent: number[] = [];
    const copy = (descriptor: number): number => {
      // A file that could not be opened has none.
      if (descriptor < 0) return descriptor;
      const copied = duplicateDescriptor(descriptor);
      lent.push(copied);
      return copied;
    };
    this.#lent.set(id, lent);
    const source = { ...job.source, file: copy(job.source.file) };
    const userfaultfd = copy(job.userfaultfd);
    const processDescriptor = copy(order.processDescriptor);
    this.say({
      kind: "take",
      order: { ...order, processDescriptor, job: { ...job, userfaultfd, source } },
    });
  }

  /** It lets go of everything, and ends. */
  end(): void {
    this.#ending = true;
    this.say({ kind: "end" });
  }

  say(message: ToWorker): void {
    if (this.#over) return;
    this.#worker.postMessage(message);
    Atomics.add(new Int32Array(this.#news), 0, 1);
    wakeUp(this.#wake);
  }

  #hear(message: FromWorker): void {
    if (message.kind === "left") this.#takeBack(message.id);
    // At a step it stands until the guard has taken note, also when it is to end.
    else if (!this.#ending || message.kind === "step") this.#listener.told(message);
  }

  #takeBack(id: number): void {
    for (const descriptor of this.#lent.get(id) ?? []) closeDescriptor(descriptor);
    this.#lent.delete(id);
  }

  #gone(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    closeDescriptor(this.#wake);
    for (const id of [...this.#lent.keys()]) this.#takeBack(id);
    if (!this.#ending) this.#listener.died(error);
  }
}
