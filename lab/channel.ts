import { within } from "./deadline.js";
import { LabError } from "./lab-error.js";
import { LineLog } from "./line-log.js";

/** How a channel ended. */
export interface ChannelEnd {
  /** Exit code of the command (128 + signal when killed), 0 for a socket, -1 when it could not be started. */
  readonly code: number;
  /** The agent's reason when it could not be started. */
  readonly reason: string;
}

/** A running command or an open unix socket inside the lab host. */
export class Channel {
  readonly id: number;
  readonly out: LineLog;
  readonly err: LineLog;
  readonly ended: Promise<ChannelEnd>;
  readonly #send: (verb: string, payload: string) => void;
  readonly #name: string;
  #finish: (end: ChannelEnd) => void = () => {};
  #fail: (error: unknown) => void = () => {};

  /**
   * @param name the command or socket, for messages
   * @param send sends a message that names this channel
   * @param onText told of all output as it comes
   */
  constructor(
    id: number,
    name: string,
    send: (verb: string, payload: string) => void,
    onText?: (stream: "out" | "err", text: string) => void,
  ) {
    this.id = id;
    this.#name = name;
    this.#send = send;
    this.out = new LineLog(onText && ((line) => onText("out", `${line}\n`)));
    this.err = new LineLog(onText && ((line) => onText("err", `${line}\n`)));
    this.ended = new Promise((finish, fail) => {
      this.#finish = finish;
      this.#fail = fail;
    });
    this.ended.catch(() => {
      // Whoever waits hears of it; nobody may be waiting.
    });
  }

  /** Writes to the command's standard input or the socket. */
  write(text: string): void {
    this.#send("in", text);
  }

  /** Closes the command's standard input, or the socket. */
  close(): void {
    this.#send("eof", "");
  }

  /** @param signal number of a signal for the command's process group */
  kill(signal: number): void {
    this.#send("kill", String(signal));
  }

  /** The end of the command. @throws LabError `HM_LAB_TIMEOUT` */
  wait(timeoutMs: number): Promise<ChannelEnd> {
    return within(`the end of ${this.#name}`, timeoutMs, this.ended);
  }

  /** For the agent client: a message for this channel. */
  receive(verb: string, payload: Buffer): void {
    if (verb === "out") this.out.push(payload.toString());
    if (verb === "err") this.err.push(payload.toString());
    if (verb !== "exit") return;
    const text = payload.toString();
    const code = Number.parseInt(text, 10);
    const gone = new LabError("HM_LAB_CHANNEL_ENDED", `${this.#name} has ended`, { present: `code ${text}` });
    this.out.end(gone);
    this.err.end(gone);
    this.#finish({ code, reason: text.slice(String(code).length).trim() });
  }

  /** For the agent client: nothing will come any more. */
  abandon(error: unknown): void {
    this.out.end(error);
    this.err.end(error);
    this.#fail(error);
  }
}
