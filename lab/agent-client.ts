import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Channel } from "./channel.js";
import { FrameReader, packFrame } from "./frame.js";
import { LabError, LabHostLost } from "./lab-error.js";

/** The agent beats twice a second of its own time; under a heavily loaded L0 a beat may come late. */
const silenceMs = 60_000;

/** How long the emulator may take to open its socket. */
const dialMs = 60_000;

/** The outcome of a command. */
export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The lab host's agent, over its virtio-serial socket. Every wait ends when the heart stops beating. */
export class AgentClient {
  readonly #socket: Socket;
  readonly #channels: Map<number, Channel> = new Map();
  readonly #watch: NodeJS.Timeout;
  // Not from 1: a process in a snapshot may still have an id from an earlier harness.
  #nextId: number = 1 + Math.floor(Math.random() * 1_000_000_000);
  #lastBeat: number = Date.now();
  #lost: LabHostLost | undefined;
  #beats = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new FrameReader();
    socket.on("data", (bytes: Buffer) => {
      this.#lastBeat = Date.now();
      for (const frame of reader.push(bytes)) {
        if (frame.verb === "beat") this.#beats = frame.id;
        const channel = this.#channels.get(frame.id);
        if (frame.verb === "beat" || channel === undefined) continue;
        if (frame.verb === "exit") this.#channels.delete(frame.id);
        channel.receive(frame.verb, frame.payload);
      }
    });
    socket.on("error", () => {
      // "close" follows.
    });
    socket.on("close", () => this.#lose(new LabHostLost("The lab host's emulator has ended")));
    this.#watch = setInterval(() => {
      const silent = Date.now() - this.#lastBeat;
      if (silent < silenceMs) return;
      this.#lose(
        new LabHostLost(
          `The lab host stopped beating ${Math.round(silent / 1000)} s ago, after ${this.#beats} beats`,
        ),
      );
    }, 500);
  }

  /**
   * Connects and tells the agent that a new harness is here.
   *
   * @param path the socket of L0's QEMU
   * @param bootMs how long the agent may take to answer for the first time
   */
  static async open(path: string, bootMs: number): Promise<AgentClient> {
    const socket = await dial(path);
    const client = new AgentClient(socket);
    // A message that L1's kernel gets before its agent runs is lost, so it is said again until there is an answer.
    const until = Date.now() + bootMs;
    for (;;) {
      client.#lastBeat = Date.now();
      const answer = client.#channel("agent");
      client.#send("reset", answer.id);
      const ok = await Promise.race([answer.ended.then(() => true), sleep(300, false)]);
      if (ok) return client;
      if (Date.now() > until) {
        client.close();
        throw new LabHostLost(`The lab host's agent did not answer within ${bootMs / 1000} s`);
      }
    }
  }

  /** Starts a shell command. @param onText told of its output as it comes */
  spawn(command: string, onText?: (stream: "out" | "err", text: string) => void): Channel {
    const channel = this.#channel(command.slice(0, 80), onText);
    this.#send("run", channel.id, command);
    return channel;
  }

  /** Connects to a unix socket inside the lab host. */
  connect(path: string, onText?: (stream: "out" | "err", text: string) => void): Channel {
    const channel = this.#channel(path, onText);
    this.#send("connect", channel.id, path);
    return channel;
  }

  /** Runs a shell command to its end. @throws LabError `HM_LAB_TIMEOUT` */
  async run(command: string, timeoutMs = 60_000): Promise<RunResult> {
    const channel = this.spawn(command);
    try {
      const { code } = await channel.wait(timeoutMs);
      return { code, stdout: channel.out.lines.join("\n"), stderr: channel.err.lines.join("\n") };
    } catch (error) {
      channel.kill(9);
      throw error;
    }
  }

  /** Runs a shell command that must end with 0. @returns its standard output @throws LabError `HM_LAB_HOST_COMMAND` */
  async must(command: string, timeoutMs = 60_000): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, timeoutMs);
    if (code === 0) return stdout;
    throw new LabError("HM_LAB_HOST_COMMAND", `A command in the lab host failed: ${command.slice(0, 200)}`, {
      present: `code ${code}, ${stderr.trim().slice(-500)}`,
    });
  }

  /** Lets go of the socket; the lab host runs on. */
  close(): void {
    this.#lose(new LabHostLost("The connection to the lab host was closed"));
    this.#socket.destroy();
  }

  #channel(name: string, onText?: (stream: "out" | "err", text: string) => void): Channel {
    const id = this.#nextId++;
    const channel = new Channel(id, name, (verb, payload) => this.#send(verb, id, payload), onText);
    if (this.#lost !== undefined) channel.abandon(this.#lost);
    else this.#channels.set(id, channel);
    return channel;
  }

  #send(verb: string, id: number, payload = ""): void {
    if (this.#lost === undefined) this.#socket.write(packFrame(verb, id, payload));
  }

  #lose(error: LabHostLost): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    clearInterval(this.#watch);
    for (const channel of this.#channels.values()) channel.abandon(error);
    this.#channels.clear();
  }
}

/** Connects to a unix socket that may not be there yet. */
async function dial(path: string): Promise<Socket> {
  const until = Date.now() + dialMs;
  for (;;) {
    try {
      return await new Promise<Socket>((done, failed) => {
        const socket = connect(path, () => {
          socket.off("error", failed);
          done(socket);
        });
        socket.once("error", failed);
      });
    } catch (error) {
      if (Date.now() > until)
        throw new LabHostLost(`The lab host's emulator does not listen at ${path}: ${String(error)}`);
      await sleep(50);
    }
  }
}
