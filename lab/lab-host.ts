import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentClient } from "./agent-client.js";
import { atEnd } from "./cleanup.js";
import { within } from "./deadline.js";
import type { LabImage } from "./image.js";
import { LabHostLost } from "./lab-error.js";
import { QmpLines } from "./qmp-lines.js";

/** A kind of lab host. */
export interface HostKind {
  /** Names its snapshot. */
  readonly id: string;
  /** Size of L1's RAM; also the size of a snapshot's (sparse) RAM file. */
  readonly ram: string;
  /** The pools of large pages, as kernel arguments. */
  readonly pools: string;
  /** Devices more than the usual ones, and what they need of the kernel. */
  readonly devices?: { readonly arguments: readonly string[]; readonly kernel: string };
  /** Boots Debian 12's kernel 6.1 instead of the image's own. Modules that the image has in store do not fit it. */
  readonly kernel?: "debian-12";
  /** Has Debian 12's QEMU on a further disk (debian-12.ts). */
  readonly programs?: "debian-12";
}

/** Pages of 2 MiB. */
export const usualHost: HostKind = { id: "host", ram: "2G", pools: "hugepages=300" };
/** One page of 1 GiB, and memory for a replacement. */
export const gigHost: HostKind = { id: "gig-host", ram: "4G", pools: "hugepagesz=1G hugepages=1" };

/** The usual one, and Debian 12's QEMU 7.2 in it. */
export const oldQemuHost: HostKind = { ...usualHost, id: "old-qemu-host", programs: "debian-12" };
/** The usual one on Debian 12's kernel 6.1. */
export const oldKernelHost: HostKind = { ...usualHost, id: "old-kernel-host", kernel: "debian-12" };

/** A PCI device to pass through, behind an IOMMU. The lab host's own virtio devices go past that. */
export const iommuHost: HostKind = {
  ...usualHost,
  id: "host-iommu",
  devices: {
    arguments: [
      ...["-device", "intel-iommu"],
      ...["-device", "virtio-rng-pci,addr=0x10,iommu_platform=on,disable-legacy=on"],
    ],
    kernel: "intel_iommu=on",
  },
};
/** Address of that device in the lab host. */
export const spareDevice = "0000:00:10.0";

/** Size of the payload disk in bytes. L1 learns it at boot, so it is the same for every payload. */
export const payloadBytes: number = 96 * 2 ** 20;

/**
 * L1's machine. One vCPU and single-threaded emulation: with more, emulated SVM crashed L1's kernel in half of the runs.
 * `EPYC-Rome,+svm` is the first model with nested paging that TCG can be.
 */
function machineOf(kind: HostKind): string[] {
  return [
    ["-machine", "q35,memory-backend=ram"],
    ["-accel", "tcg,thread=single"],
    ["-cpu", "EPYC-Rome,+svm"],
    ["-smp", "1"],
    ["-m", kind.ram],
    kind.devices?.arguments ?? [],
  ].flat();
}

function kernelArguments(kind: HostKind): string {
  return `console=ttyS0 quiet loglevel=4 nokaslr mitigations=off tsc=reliable random.trust_cpu=on audit=0 apparmor=0 selinux=0 ${[kind.pools, kind.devices?.kernel ?? ""].join(" ").trim()} panic=5`;
}

/** What a snapshot depends on besides image and payload size. */
export function hostMachine(kind: HostKind): readonly string[] {
  return [...machineOf(kind), kernelArguments(kind)];
}

/** What a lab host starts from. */
export interface LabHostStart {
  readonly kind: HostKind;
  readonly image: LabImage;
  /** File that is (shared) or backs privately (not shared) L1's RAM. */
  readonly ramFile: string;
  /** Shared: writes go to the file, for making a snapshot. Private: the file is a frozen snapshot that many may start from. */
  readonly shared: boolean;
  /** Device state to start from instead of booting. */
  readonly stateFile?: string;
  /** Raw disk of `payloadBytes` bytes. */
  readonly payload: string;
  /** Folder for L1's console and the emulator's own output. */
  readonly logs: string;
}

/** A running lab host (L1). */
export class LabHost implements AsyncDisposable {
  readonly agent: AgentClient;
  readonly qmp: QmpLines;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #callOff: () => void;

  private constructor(
    child: ChildProcess,
    folder: string,
    agent: AgentClient,
    qmp: QmpLines,
    callOff: () => void,
  ) {
    this.#child = child;
    this.#folder = folder;
    this.agent = agent;
    this.qmp = qmp;
    this.#callOff = callOff;
  }

  /**
   * Boots a lab host (7 s) or starts it from a snapshot (half a second).
   *
   * @throws LabHostLost when it does not come to life
   */
  static async start(start: LabHostStart): Promise<LabHost> {
    // Unix socket paths have at most 107 characters (unix(7)), so they do not go to the log folder.
    const folder = mkdtempSync(join(tmpdir(), "hugemend-l1-"));
    const { program, argv } = commandLine(start, folder);
    const child = spawn(program, argv, {
      env: { ...process.env, ...start.image.qemu.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = createWriteStream(join(start.logs, "l1-emulator.log"));
    child.stdout?.pipe(output, { end: false });
    child.stderr?.pipe(output, { end: false });
    const kill = (): void => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    };
    const callOff = atEnd(kill);
    child.on("error", () => {
      // The sockets will not open: that error is reported.
    });
    try {
      const qmp = await openQmp(join(folder, "qmp"), child);
      if (start.stateFile !== undefined) await resume(qmp, start.stateFile);
      const agent = await AgentClient.open(
        join(folder, "agent"),
        start.stateFile === undefined ? 90_000 : 60_000,
      );
      return new LabHost(child, folder, agent, qmp, callOff);
    } catch (error) {
      callOff();
      kill();
      throw error;
    }
  }

  /** Process id of its emulator. @throws LabHostLost if it has none */
  get emulator(): number {
    if (this.#child.pid === undefined) throw new LabHostLost("The lab host's emulator was not started");
    return this.#child.pid;
  }

  /** Freezes the machine for good: its device state goes to a file, its RAM is in its shared RAM file already. */
  async freeze(stateFile: string): Promise<void> {
    this.agent.close();
    await this.qmp.execute("stop");
    await setIgnoreShared(this.qmp);
    await this.qmp.execute("migrate", { uri: `file:${stateFile}` });
    for (;;) {
      const info = await this.qmp.execute("query-migrate");
      const status = typeof info === "object" && info !== null && "status" in info ? info.status : "";
      if (status === "completed") break;
      if (status === "failed") throw new LabHostLost(`The snapshot failed: ${JSON.stringify(info)}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Ends the machine. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.close();
    const ended = new Promise<void>((done) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) done();
      else this.#child.once("exit", () => done());
    });
    this.#child.kill("SIGKILL");
    await within("the end of the lab host's emulator", 60_000, ended);
    this.#callOff();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function commandLine(start: LabHostStart, folder: string): { program: string; argv: string[] } {
  const { image, kind } = start;
  const disk = (id: string, file: string): string[] => [
    ...["-drive", `if=none,id=${id},file=${file},format=raw,readonly=on`],
    ...["-device", `virtio-blk-pci,drive=${id}`],
  ];
  const argv = [
    // setpriv: should we be killed, the emulator must not stay behind.
    ...[
      "--pdeathsig",
      "KILL",
      ...image.qemu.argv,
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      ...machineOf(kind),
    ],
    ...[
      "-object",
      `memory-backend-file,id=ram,size=${kind.ram},mem-path=${start.ramFile},share=${start.shared ? "on" : "off"}`,
    ],
    ...["-kernel", image.kernel, "-initrd", image.initrd, "-append", kernelArguments(kind)],
    ...["-serial", `file:${join(start.logs, "l1-console.log")}`],
    ...disk("root", image.disk),
    ...disk("payload", start.payload),
    ...(image.programs === undefined ? [] : disk("programs", image.programs)),
    ...["-chardev", `socket,id=agent,path=${join(folder, "agent")},server=on,wait=off`],
    ...["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent"],
    ...["-qmp", `unix:${join(folder, "qmp")},server=on,wait=off`, "-no-reboot"],
    ...(start.stateFile === undefined ? [] : ["-S", "-incoming", "defer"]),
  ];
  return { program: "setpriv", argv };
}

async function openQmp(path: string, child: ChildProcess): Promise<QmpLines> {
  const until = Date.now() + 60_000;
  for (;;) {
    const socket = connect(path);
    const open = await new Promise<boolean>((done) => {
      socket.once("connect", () => done(true));
      socket.once("error", () => done(false));
    });
    if (open) {
      const qmp = new QmpLines((text) => socket.write(text));
      socket.on("data", (bytes: Buffer) => qmp.log.push(bytes.toString()));
      socket.on("error", () => {});
      socket.on("close", () => qmp.log.end(new LabHostLost("The lab host's emulator has ended")));
      await qmp.greet(60_000);
      return qmp;
    }
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || Date.now() > until)
      throw new LabHostLost("The lab host's emulator did not start; see l1-emulator.log");
    await new Promise((done) => setTimeout(done, 50));
  }
}

/**
 * "x-ignore-shared" leaves RAM that is a shared file out of the state; the machine that starts from it maps the same file privately
 * (QEMU: docs/system/vm-templating.rst).
 */
async function setIgnoreShared(qmp: QmpLines): Promise<void> {
  await qmp.execute("migrate-set-capabilities", {
    capabilities: [{ capability: "x-ignore-shared", state: true }],
  });
}

async function resume(qmp: QmpLines, stateFile: string): Promise<void> {
  await setIgnoreShared(qmp);
  await qmp.execute("migrate-incoming", { uri: `file:${stateFile}` });
  const until = Date.now() + 60_000;
  while ((await qmp.status()) === "inmigrate") {
    if (Date.now() > until) throw new LabHostLost("The lab host's snapshot could not be loaded");
    await new Promise((done) => setTimeout(done, 20));
  }
  await qmp.execute("cont");
}
