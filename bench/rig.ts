/** A measured process and the real guard on it. */

import { join } from "node:path";
import { ObligingMonitor } from "../test/framework/obliging-monitor.js";
import { Resources } from "../test/framework/resources.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import { BenchGuard, type Recovered } from "./bench-guard.js";
import { MeasuredProcess } from "./measured-process.js";

/** What a rig consists of. */
export interface RigOptions {
  readonly pages: number;
  /** Bytes of a large page, 2 MiB if left out. */
  readonly pageSize?: number;
  /** Bytes of address space, as many as the pages have if left out. */
  readonly mapped?: number;
  /** Whether the guard has a monitor, and pauses the VM for every recovery. */
  readonly quiesce?: boolean;
  /** As the guard chooses if left out. */
  readonly fill?: "eager" | "lazy";
  /** Whether the kernel is taken to have said nothing of what is lost. */
  readonly unreported?: boolean;
}

/** One recovery. */
export interface Strike {
  /** How long the access took that hit the error, in nanoseconds. */
  readonly stall: number;
  /** What the guard says about it. */
  readonly event: Recovered;
}

/** See the head of the file. */
export class Rig implements AsyncDisposable {
  readonly measured: MeasuredProcess;
  readonly guard: BenchGuard;
  readonly #resources: Resources;

  private constructor(measured: MeasuredProcess, guard: BenchGuard, resources: Resources) {
    this.measured = measured;
    this.guard = guard;
    this.#resources = resources;
  }

  /** @throws Error if the machine has not enough large pages, or the guard does not get ready */
  static async start({
    pages,
    pageSize,
    mapped,
    quiesce = false,
    fill,
    unreported = false,
  }: RigOptions): Promise<Rig> {
    await using resources = new Resources();
    const folder = resources.use(new TemporaryFolder()).path;
    const measured = resources.use(await MeasuredProcess.start(pages, pageSize, mapped));
    const qmp = join(folder, "qmp");
    if (quiesce) resources.use(await ObligingMonitor.start(qmp, measured.start, measured.size));
    const paused = quiesce ? ({ qmp, quiesce: "always" } as const) : {};
    const options = { folder, unreported, ...paused, ...(fill === undefined ? {} : { fill }) };
    const guard = resources.use(await BenchGuard.start(measured.pid, options));
    return new Rig(measured, guard, resources.move());
  }

  /**
   * Lets a large page go bad and touches it. It stays replaced, and a lazy fill may be under way.
   *
   * @param page number of the large page
   */
  async strike(page: number): Promise<Strike> {
    const stall = await this.measured.number(`strike ${page}`);
    return { stall, event: await this.guard.recovered() };
  }

  /** Waits until nothing is left to do for a strike. */
  async settle({ event }: Strike): Promise<void> {
    if (event.fill === "lazy") await this.guard.filled();
  }

  /** A recovery from its beginning to its end, and the large page back. @returns what it was */
  async round(page: number): Promise<Strike> {
    const strike = await this.strike(page);
    await this.settle(strike);
    await this.measured.tell(`remap ${page}`);
    return strike;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources[Symbol.asyncDispose]();
  }
}
