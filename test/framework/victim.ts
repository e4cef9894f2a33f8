/** A victim: one of the C programs in test/victims, which reads commands and answers each with one line. */

import { compileVictim } from "../compile-victim.js";
import { Child, type ChildEnd } from "./child.js";
import { PATIENCE_MS } from "./wait-until.js";

/** Its executable is named like QEMU's, so that the guard takes it for one. */
export class Victim implements AsyncDisposable {
  readonly pid: number;
  /** What it said after `ready PID`: `large-pages` tells where its RAM begins. */
  readonly words: readonly string[];
  readonly child: Child;

  private constructor(child: Child, pid: number, words: readonly string[]) {
    this.child = child;
    this.pid = pid;
    this.words = words;
  }

  /**
   * @param name of the C file, without `.c`
   * @param words its arguments
   * @param program name of the executable
   * @throws Error if it does not compile, or does not say `ready`
   */
  static async start(
    name: string,
    words: readonly (string | number)[] = [],
    program: string = `qemu-system-${name}`,
  ): Promise<Victim> {
    const child = Child.start(compileVictim(name, program), words.map(String));
    return Victim.adopt(child);
  }

  /** @param child a program that starts a victim, or is one */
  static async adopt(child: Child): Promise<Victim> {
    try {
      const [ready, pid, ...words] = (await child.output.next()).split(" ");
      if (ready !== "ready") throw new Error(`a victim said "${ready} ${pid}" instead of "ready PID"`);
      return new Victim(child, Number(pid), words);
    } catch (error) {
      const complaint = child.errors.all.join(" | ");
      await child[Symbol.asyncDispose]();
      throw new Error(`a victim did not start: ${complaint}`, { cause: error });
    }
  }

  /** @returns the answer to a command, without waiting for the one before */
  ask(command: string, patienceMs: number = PATIENCE_MS): Promise<string> {
    this.child.write(command);
    return this.child.output.next(patienceMs);
  }

  /** Numbers of an answer like `check ok=512 lost=0`. */
  async counts(command: string, patienceMs?: number): Promise<Readonly<Record<string, number>>> {
    const answer = await this.ask(command, patienceMs);
    return Object.fromEntries(
      [...answer.matchAll(/(\w+)=(-?\d+)/g)].map(([, key, value]) => [key ?? "", Number(value)]),
    );
  }

  /** Ends it with the command that all victims know. @returns how it ended */
  quit(): Promise<ChildEnd> {
    this.child.write("quit");
    return this.child.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]();
  }
}
