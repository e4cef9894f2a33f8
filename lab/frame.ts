/** One message of the lab agent's protocol (described at the head of `lab/guest/agent.c`). */
export interface Frame {
  readonly verb: string;
  readonly id: number;
  readonly payload: Buffer;
}

/** The bytes of a message. */
export function packFrame(verb: string, id: number, payload: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.from(payload);
  return Buffer.concat([Buffer.from(`${verb} ${id} ${bytes.length}\n`), bytes]);
}

/** Takes bytes as they come and gives whole messages. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** @returns the messages that are complete now */
  push(bytes: Buffer): Frame[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    for (;;) {
      const newline = this.#rest.indexOf(10);
      if (newline < 0) return frames;
      const [verb = "", id = "", length = ""] = this.#rest.toString("latin1", 0, newline).split(" ");
      const end = newline + 1 + Number(length);
      if (this.#rest.length < end) return frames;
      frames.push({ verb, id: Number(id), payload: Buffer.from(this.#rest.subarray(newline + 1, end)) });
      this.#rest = this.#rest.subarray(end);
    }
  }
}
