import { LabError } from "./lab-error.js";
import { LineLog } from "./line-log.js";

/** The harness's own small QMP client, over anything that carries lines: a socket here, or a socket inside the lab host. */
export class QmpLines {
  /** Every message QEMU sent, as text. */
  readonly log: LineLog = new LineLog();
  readonly #write: (text: string) => void;
  #nextId = 1;

  /** @param write sends text to QEMU */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Waits for the greeting and ends the negotiation. */
  async greet(timeoutMs: number): Promise<void> {
    await this.log.wait("QEMU's greeting", (line) => line.includes('"QMP"'), timeoutMs);
    await this.execute("qmp_capabilities");
  }

  /**
   * @returns the answer's `return` member
   * @throws LabError `HM_LAB_QMP` when QEMU refuses, `HM_LAB_TIMEOUT`
   */
  async execute(
    command: string,
    args?: Readonly<Record<string, unknown>>,
    timeoutMs = 60_000,
  ): Promise<unknown> {
    const id = `lab-${this.#nextId++}`;
    const from = this.log.lines.length;
    this.#write(`${JSON.stringify({ execute: command, ...(args && { arguments: args }), id })}\n`);
    const line = await this.log.wait(
      `QEMU's answer to ${command}`,
      (text) => idOf(text) === id,
      timeoutMs,
      from,
    );
    const answer: unknown = JSON.parse(line);
    if (typeof answer === "object" && answer !== null && "return" in answer) return answer.return;
    throw new LabError("HM_LAB_QMP", `QEMU refused ${command}`, { present: line.slice(0, 300) });
  }

  /** The first event of a name at or after line `from` of the log. */
  event(name: string, timeoutMs: number, from = 0): Promise<string> {
    return this.log.wait(
      `QEMU's event ${name}`,
      (line) => line.includes(`"event": "${name}"`),
      timeoutMs,
      from,
    );
  }

  /** Whether an event of a name has come. */
  seen(name: string): boolean {
    return this.log.lines.some((line) => line.includes(`"event": "${name}"`));
  }

  /** `status` of query-status: `running`, `paused`, … */
  async status(): Promise<string> {
    const answer = await this.execute("query-status");
    if (typeof answer === "object" && answer !== null && "status" in answer) return String(answer.status);
    return "unknown";
  }
}

function idOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "id" in value ? value.id : undefined;
  } catch {
    return undefined;
  }
}
