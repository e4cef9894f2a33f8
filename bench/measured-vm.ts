/**
 * A stock QEMU with KVM, RAM on large pages, and bench/c/guest.S in it, which touches one large page all the time and tells how long it
 * stood. bench/c/broken-memory.c is loaded beside and lets that page go bad.
 */

import { accessSync, constants, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QmpCommands } from "../src/qemu/qmp-commands.js";
import { QmpConnection } from "../src/qemu/qmp-connection.js";
import { readRamLayout } from "../src/qemu/ram-blocks.js";
import { Child } from "../test/framework/child.js";
import { Resources } from "../test/framework/resources.js";
import { TemporaryFolder } from "../test/framework/temporary-folder.js";
import { waitUntil } from "../test/framework/wait-until.js";
import { acquire } from "../test/hugepages.js";
import { cFlags, compiled } from "./compile.js";
import { GuestClock } from "./guest-clock.js";
import { SIZES } from "./measured-process.js";

const QEMU = process.env["HUGEMEND_TEST_QEMU"] ?? "/usr/bin/qemu-system-x86_64";
const LINES_TO_BEGIN = 5;

/** Where the large page lies that goes bad, and how much RAM there is, in bytes. The guest's program lies before it. */
const PLACES: Readonly<Record<"2M" | "1G", { readonly target: number; readonly ram: number }>> = {
  "2M": { target: 32 * 2 ** 20, ram: 64 * 2 ** 20 },
  "1G": { target: 2 ** 30, ram: 2 * 2 ** 30 },
};

/** How long a VM stood, in milliseconds. */
export interface Standing {
  /** From its monitor's STOP to its RESUME. */
  readonly paused: number;
  /** As the guest's clock says: between two touches of its memory. */
  readonly guest: number;
}

/** @throws Error with a sentence: why no guest can be run here */
function checkMachine(): void {
  for (const [path, mode, what] of [
    [QEMU, constants.X_OK, "install qemu-system-x86, or put the path of a QEMU into HUGEMEND_TEST_QEMU"],
    [
      "/dev/kvm",
      constants.R_OK | constants.W_OK,
      "this takes KVM, because an emulated processor cannot be paused in the middle of an access",
    ],
  ] as const) {
    try {
      accessSync(path, mode);
    } catch {
      throw new Error(`${path} cannot be used: ${what}`);
    }
  }
}

function guestFor(size: "2M" | "1G"): string {
  const layout = ["-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000,--oformat=binary,--build-id=none"];
  const place = [`-DTARGET=${PLACES[size].target}`, `-DSIZE=${SIZES[size]}`];
  return compiled("guest.S", `guest-${size}`, [...layout, ...place]);
}

/** See the head of the file. */
export class MeasuredVm implements AsyncDisposable {
  readonly #child: Child;
  readonly #commands: QmpCommands;
  readonly #clock: GuestClock;
  readonly #folder: string;
  readonly #resources: Resources;
  #page = "";
  #stopped = 0;
  #paused: number | undefined;

  private constructor(
    child: Child,
    monitor: QmpConnection,
    clock: GuestClock,
    folder: string,
    resources: Resources,
  ) {
    this.#child = child;
    this.#commands = new QmpCommands(monitor);
    this.#clock = clock;
    this.#folder = folder;
    this.#resources = resources;
    monitor.on("STOP", ({ time }) => {
      this.#stopped = time ?? Number.NaN;
    });
    monitor.on("RESUME", ({ time }) => {
      this.#paused = (time ?? Number.NaN) - this.#stopped;
    });
  }

  /** @returns when its guest runs @throws Error if it does not, with a sentence why */
  static async start(size: "2M" | "1G"): Promise<MeasuredVm> {
    checkMachine();
    const { ram, target } = PLACES[size];
    await using resources = new Resources();
    resources.use(await acquire(ram / SIZES[size], SIZES[size]));
    const folder = resources.use(new TemporaryFolder()).path;
    const said = join(folder, "guest");
    const memory = `memory-backend-memfd,id=ram0,size=${ram},hugetlb=on,hugetlbsize=${SIZES[size]},share=on,prealloc=on`;
    const library = compiled("broken-memory.c", "broken-memory.so", [...cFlags, "-shared", "-fPIC"]);
    const child = resources.use(
      Child.start("/usr/bin/env", [
        ...[`LD_PRELOAD=${library}`, QEMU, "-accel", "kvm", "-display", "none", "-nodefaults"],
        ...["-object", memory, "-machine", "q35,memory-backend=ram0", "-m", `${ram / 2 ** 20}M`],
        ...["-kernel", guestFor(size), "-debugcon", `file:${said}`],
        ...["guard", "own"].flatMap((name) => ["-qmp", `unix:${join(folder, name)},server=on,wait=off`]),
      ]),
    );
    const monitor = await openMonitor(join(folder, "own"), child);
    resources.use({ [Symbol.dispose]: () => monitor.close() });
    const clock = new GuestClock(said);
    await waitUntil(`${QEMU}: a guest that runs with this machine's KVM`, () => clock.lines > LINES_TO_BEGIN);
    const vm = new MeasuredVm(child, monitor, clock, folder, resources.move());
    const { sections } = await readRamLayout(vm.#commands);
    const low = sections.find(({ gpa }) => gpa === 0n);
    if (low === undefined) throw new Error("QEMU does not say where the guest's memory lies");
    vm.#page = `${(low.hva + BigInt(target)).toString(16)} ${SIZES[size].toString(16)} ${ramDescriptor(child.pid)} ${target}`;
    return vm;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Path of the monitor's socket that is for the guard. */
  get qmp(): string {
    return join(this.#folder, "guard");
  }

  /** Folder that goes with the VM. */
  get folder(): string {
    return this.#folder;
  }

  async #tell(command: "poison" | "remap"): Promise<void> {
    this.#child.write(`${command} ${this.#page}`);
    const answer = await this.#child.output.next();
    if (answer !== "done") throw new Error(`QEMU answered "${answer}" to ${command}`);
  }

  /** @param what is done meanwhile, and pauses the VM @returns how long it stood @throws Error if it was not paused */
  async standing(what: () => Promise<unknown>): Promise<Standing> {
    this.#paused = undefined;
    const line = this.#clock.lines;
    await what();
    // What the guest was counting, and one line more.
    await waitUntil("the guest's next word", () => this.#clock.lines > line + 2);
    if (this.#paused === undefined) throw new Error("the VM was not paused");
    return { paused: this.#paused, guest: this.#clock.longestSince(line) };
  }

  /** @param pieces how many, of about 25 ms each @returns how long a million touches take the guest, in milliseconds, for each piece */
  async paces(pieces: number): Promise<number[]> {
    // The line that is under way has begun before.
    const line = this.#clock.lines + 1;
    await waitUntil("the guest's words", () => this.#clock.lines >= line + pieces);
    return this.#clock.paces(line).slice(0, pieces);
  }

  /** QEMU's own pause, with nothing done meanwhile. */
  bare(): Promise<Standing> {
    return this.standing(async () => {
      await this.#commands.stop();
      await this.#commands.cont();
    });
  }

  /** The large page goes bad; the guest touches it at once. */
  poison(): Promise<void> {
    return this.#tell("poison");
  }

  /** It is back. */
  remap(): Promise<void> {
    return this.#tell("remap");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

async function openMonitor(path: string, child: Child): Promise<QmpConnection> {
  for (;;) {
    try {
      return await QmpConnection.open(path);
    } catch (error) {
      if (!child.alive) throw new Error(`QEMU has ended: ${child.errors.all.join(" | ")}`, { cause: error });
      await sleep(50);
    }
  }
}

/** @returns QEMU's own descriptor of its RAM */
function ramDescriptor(pid: number): string {
  const folder = `/proc/${pid}/fd`;
  const found = readdirSync(folder).find((fd) =>
    readlinkSync(join(folder, fd)).startsWith("/memfd:memory-backend-memfd"),
  );
  if (found === undefined) throw new Error("QEMU has no descriptor of its RAM");
  return found;
}
