import type { Channel } from "./channel.js";
import { LabError } from "./lab-error.js";

/** A run of lost pages, as the guest sees it. */
export interface LostRun {
  readonly gpa: number;
  readonly pages: number;
}

/** What is left of the checker's memory, in pages of 4 KiB. */
export interface CheckResult {
  readonly ok: number;
  readonly lost: number;
  readonly corrupt: number;
  /** SIGBUS signals the checker got while it read. */
  readonly signals: number;
  readonly runs: readonly LostRun[];
}

/** Machine checks as the guest saw them. */
export interface MachineChecks {
  /** Machine check exceptions that its vCPUs took (/proc/interrupts). */
  readonly exceptions: number;
  /** Pages its kernel was told of. */
  readonly gpas: readonly number[];
}

/** A large page that belongs wholly to the checker. */
export interface OwnLargePage {
  readonly gpa: number;
  /** Index of its first page in the checker's block. */
  readonly index: number;
}

/** The guest program, spoken to through its virtio-serial port (commands at the head of `lab/guest/checker.c`). */
export class Checker {
  readonly #channel: Channel;

  /** @param channel connected to the victim's checker socket */
  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Waits for the program to start (the guest's boot). */
  async ready(timeoutMs: number): Promise<void> {
    await this.#channel.out.wait("the victim's guest program", (line) => line === "ready", timeoutMs);
  }

  /** Starts to watch for the program's next start: call it before whatever reboots the guest. @returns waits for that start */
  watchReboot(): (timeoutMs: number) => Promise<void> {
    const from = this.#channel.out.lines.length;
    return async (timeoutMs) => {
      await this.#channel.out.wait("the rebooted guest", (line) => line === "ready", timeoutMs, from);
    };
  }

  /** Fills so many MiB with the pattern. @returns the number of pages */
  async fill(mib: number): Promise<number> {
    return Number((await this.#ask(`fill ${mib}`, "filled ", 60_000)).trim());
  }

  /** The 2 MiB-aligned guest-physical ranges that lie wholly in its block. */
  async largePages(): Promise<OwnLargePage[]> {
    const text = await this.#ask("large", "large", 60_000);
    return text
      .split(" ")
      .filter((word) => word !== "")
      .map((word) => {
        const [gpa = "", index = ""] = word.split(":");
        return { gpa: Number(gpa), index: Number(index) };
      });
  }

  /** Reads everything. @param threads one per vCPU, each pinned @param timeoutMs 512 machine checks take some seconds @param skip index of a page not to be touched */
  async check(threads = 1, timeoutMs = 120_000, skip?: number): Promise<CheckResult> {
    const text = await this.#ask(`check ${threads} ${skip ?? ""}`.trim(), "checked ", timeoutMs);
    const field = (name: string): string => text.match(new RegExp(`${name}=(\\S*)`))?.[1] ?? "";
    const runs = list(field("gpas")).map((word) => {
      const [gpa = "", pages = ""] = word.split("+");
      return { gpa: Number(gpa), pages: Number(pages) };
    });
    return {
      ok: Number(field("ok")),
      lost: Number(field("lost")),
      corrupt: Number(field("corrupt")),
      signals: Number(field("sigbus")),
      runs,
    };
  }

  /** Reads one page. @param index in the checker's block */
  touch(index: number): Promise<string> {
    return this.#ask(`touch ${index}`, "touched ", 60_000);
  }

  /** Writes one page's pattern again. */
  store(index: number): Promise<string> {
    return this.#ask(`store ${index}`, "stored ", 60_000);
  }

  /** Reads one byte. @param offset in the checker's block */
  peek(offset: number): Promise<string> {
    return this.#ask(`peek ${offset}`, "peeked ", 60_000);
  }

  /** Writes one byte's own value again. @param offset in the checker's block */
  poke(offset: number): Promise<string> {
    return this.#ask(`poke ${offset}`, "poked ", 60_000);
  }

  /** What the guest's kernel knows of machine checks. */
  async machineChecks(): Promise<MachineChecks> {
    const text = await this.#ask("mce", "mce ", 60_000);
    const exceptions = Number(text.match(/exceptions=(\d+)/)?.[1] ?? Number.NaN);
    return { exceptions, gpas: list(text.match(/gpas=(\S*)/)?.[1] ?? "").map(Number) };
  }

  /**
   * Has the guest's kernel look often for machine checks that came without an exception: QEMU tells a guest of AMD's so of an error
   * nobody has touched, and the kernel's own interval is five minutes.
   */
  async pollMachineChecks(seconds: number): Promise<void> {
    await this.#ask(`poll ${seconds}`, "polling ", 60_000);
  }

  /** Lines about memory errors in the guest kernel's own log. */
  async machineCheckLog(): Promise<string[]> {
    const from = this.#channel.out.lines.length;
    await this.#ask("mce 1", "mce ", 60_000);
    const lines = this.#channel.out.lines.slice(from);
    return lines.filter((line) => line.startsWith("kmsg ")).map((line) => line.slice(5));
  }

  /** Whether the guest still answers. */
  async alive(timeoutMs = 60_000): Promise<boolean> {
    try {
      await this.#ask("alive", "alive ", timeoutMs);
      return true;
    } catch (error) {
      if (error instanceof LabError && ["HM_LAB_TIMEOUT", "HM_LAB_CHANNEL_ENDED"].includes(error.code))
        return false;
      throw error;
    }
  }

  /**
   * Any command. @param prefix of its answer @returns the rest of the answer
   *
   * @throws LabError `HM_LAB_CHECKER` when the program refuses it, `HM_LAB_TIMEOUT`
   */
  ask(command: string, prefix: string, timeoutMs = 60_000): Promise<string> {
    return this.#ask(command, prefix, timeoutMs);
  }

  async #ask(command: string, prefix: string, timeoutMs: number): Promise<string> {
    const from = this.#channel.out.lines.length;
    this.#channel.write(`${command}\n`);
    const wanted = (line: string): boolean => line.startsWith(prefix) || line.startsWith("error");
    const line = await this.#channel.out.wait(`the guest's answer to "${command}"`, wanted, timeoutMs, from);
    if (line.startsWith(prefix)) return line.slice(prefix.length);
    throw new LabError("HM_LAB_CHECKER", `The guest program refused "${command}"`, { present: line });
  }
}

function list(text: string): string[] {
  return text.split(",").filter((word) => word !== "");
}
