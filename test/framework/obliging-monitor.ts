/**
 * A QMP monitor for a victim that is no QEMU: says yes to `stop` and `cont`, tells of resets, and knows where the victim's RAM is. For what must hold
 * in the traced process while the guard thinks the VM paused; pausing itself is tried on real QEMU (qmp-quiesce, the lab).
 */

import { createServer, type Server, type Socket } from "node:net";

const timestamp = { seconds: 1, microseconds: 0 };

/** See the head of the file. */
export class ObligingMonitor implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #start: bigint;
  readonly #size: number;
  readonly #clients = new Set<(message: object) => void>();
  readonly #sockets = new Set<Socket>();
  #running = true;
  /** Called after each `stop` that the guard has sent. */
  onStop: () => void = () => {};
  /** What the answer to a `stop` of the guard waits for. */
  beforeStop: (() => Promise<void>) | undefined;

  private constructor(path: string, start: bigint, size: number) {
    this.path = path;
    this.#start = start;
    this.#size = size;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** @param path of the socket @param start address of the victim's RAM @param size its bytes */
  static async start(path: string, start: bigint, size: number): Promise<ObligingMonitor> {
    const monitor = new ObligingMonitor(path, start, size);
    await new Promise<void>((resolve) => monitor.#server.listen(path, resolve));
    return monitor;
  }

  /** Whether the last word was not `stop`. */
  get running(): boolean {
    return this.#running;
  }

  /** Somebody else's `stop` or `cont`: whoever listens is told, if it changes anything. */
  operator(command: "stop" | "cont"): void {
    const before = this.#running;
    this.#running = command === "cont";
    if (before === this.#running) return;
    for (const say of this.#clients) say({ event: this.#running ? "RESUME" : "STOP", timestamp });
  }

  /** Says that the guest was reset, to whoever listens. */
  reset(): void {
    for (const say of this.#clients)
      say({ event: "RESET", data: { guest: false, reason: "host-qmp-system-reset" }, timestamp });
  }

  /** Loses every connection, as when its proxy is started anew. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const say = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`);
    this.#clients.add(say);
    socket.on("close", () => {
      this.#clients.delete(say);
      this.#sockets.delete(socket);
    });
    const version = { qemu: { major: 10, minor: 0, micro: 0 }, package: "" };
    say({ QMP: { version, capabilities: [] } });
    let rest = "";
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const lines = `${rest}${bytes.toString("utf8")}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") this.#answer(line, say);
    });
  }

  #answer(line: string, say: (message: object) => void): void {
    const command = /"execute":\s*"([^"]+)"/.exec(line)?.[1];
    const id = /"id":\s*("[^"]*"|\d+)/.exec(line)?.[1] ?? "0";
    const reply = (value: unknown): void => say({ return: value, id: JSON.parse(id) });
    const obey = (word: "stop" | "cont"): void => {
      this.operator(word);
      reply({});
      if (word === "stop") this.onStop();
    };
    if (command === "stop" && this.beforeStop !== undefined) void this.beforeStop().then(() => obey("stop"));
    else if (command === "stop" || command === "cont") obey(command);
    else if (command === "query-status") {
      reply({ running: this.#running, status: this.#running ? "running" : "paused" });
    } else if (command === "human-monitor-command") {
      reply(line.includes("ramblock") ? this.#blocks() : this.#view());
    } else if (command === "query-qmp-schema") reply([]);
    else reply({});
  }

  #blocks(): string {
    const words = [0, this.#size, this.#size, this.#start].map(
      (word) => `0x${word.toString(16).padStart(16, "0")}`,
    );
    return (
      "              Block Name    PSize              Offset               Used              Total                HVA  RO\r\n" +
      `                    ram0    2 MiB  ${words.join(" ")}  rw\r\n`
    );
  }

  #view(): string {
    const last = (this.#size - 1).toString(16).padStart(16, "0");
    return `FlatView #0\r\n AS "memory", root: system\r\n Root memory region: system\r\n  0000000000000000-${last} (prio 0, ram): ram0\r\n\r\n`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.unref();
      setImmediate(resolve);
    });
  }
}
