/** Stock QEMU processes without a guest, for tests of the monitor. */

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QmpClient } from "../../src/qemu/qmp-client.js";
import { QmpConnection } from "../../src/qemu/qmp-connection.js";
import { waitUntil } from "../framework/wait-until.js";

const INSTALLED = "/usr/bin/qemu-system-x86_64";

/** Another QEMU to test with: the path of a program. */
const CHOSEN = process.env["HUGEMEND_TEST_QEMU"];

/** @throws Error that says what to do when there is none: a test without QEMU must not look green */
function findQemu(): string {
  const program = CHOSEN ?? INSTALLED;
  try {
    accessSync(program, constants.X_OK);
    return program;
  } catch {
    throw new Error(
      `${program} cannot be run: apt-get install qemu-system-x86, or put the path of a QEMU into HUGEMEND_TEST_QEMU`,
    );
  }
}

/** What to start QEMU with. */
export interface StockOptions {
  /** Monitor sockets, each for one client. Default 2: one for us, one for the operator. */
  readonly monitors?: number;
  /** More arguments. */
  readonly args?: readonly string[];
  /** Start paused (`-S`)? Default false. */
  readonly paused?: boolean;
}

/** A running QEMU with an empty machine (or `args`); ends with its scope. */
export class StockQemu implements AsyncDisposable {
  readonly sockets: readonly string[];
  readonly child: ChildProcess;
  readonly #dir: string;
  readonly #ended: Promise<void>;
  #errors = "";
  #probe: QmpConnection | "under way" | null = null;

  private constructor(child: ChildProcess, dir: string, sockets: readonly string[]) {
    this.child = child;
    this.sockets = sockets;
    this.#dir = dir;
    this.#ended = new Promise((resolve) => child.once("close", () => resolve()));
    child.stderr?.on("data", (text) => {
      this.#errors += text;
    });
  }

  static async start(options: StockOptions = {}): Promise<StockQemu> {
    const program = findQemu();
    const dir = mkdtempSync(join(tmpdir(), "hugemend-qmp-"));
    const sockets = Array.from({ length: options.monitors ?? 2 }, (_, i) => join(dir, `qmp${i}.sock`));
    const memory = options.args ?? ["-machine", "q35", "-m", "64M"];
    const child = spawn(
      program,
      [
        ...["-accel", "tcg", "-display", "none", "-nodefaults", ...memory],
        ...(options.paused === true ? ["-S"] : []),
        ...sockets.flatMap((path) => ["-qmp", `unix:${path},server=on,wait=off`]),
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    const qemu = new StockQemu(child, dir, sockets);
    try {
      // The sockets exist before the machine does: only an answer tells that it is ready.
      const probe = await waitUntil("QEMU's monitor", () => qemu.#tryConnect());
      probe.close();
      return qemu;
    } catch (error) {
      await qemu[Symbol.asyncDispose]();
      throw new Error(`QEMU did not start: ${qemu.#errors}`, { cause: error });
    }
  }

  /** @param monitor which socket */
  socket(monitor = 0): string {
    const path = this.sockets[monitor];
    if (path === undefined) throw new Error(`no monitor ${monitor}`);
    return path;
  }

  connect(monitor = 0): Promise<QmpClient> {
    return QmpClient.connect(this.socket(monitor));
  }

  /** Somebody else with a monitor of their own. */
  operator(): Promise<QmpConnection> {
    return QmpConnection.open(this.socket(1));
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGCONT");
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** One attempt at a time; polled. */
  #tryConnect(): QmpConnection | undefined {
    if (this.child.exitCode !== null) throw new Error("it has ended");
    if (this.#probe !== null) return this.#probe === "under way" ? undefined : this.#probe;
    this.#probe = "under way";
    QmpConnection.open(this.socket(), { timeoutMs: 20_000 }).then(
      (connection) => {
        this.#probe = connection;
      },
      () => {
        this.#probe = null;
      },
    );
    return undefined;
  }
}
