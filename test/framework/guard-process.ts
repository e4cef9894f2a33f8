/** A guard in a process of its own: the driver of test/integration/drivers, or the real command. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { PUBLIC_SCHEMAS, type PublicEvent } from "../../src/ledger/events.js";
import type { DriverInput } from "../integration/drivers/driver-options.js";
import { Child, type ChildEnd } from "./child.js";
import { driverPath } from "./driver-path.js";
import { waitUntil } from "./wait-until.js";

/** The program behind `hugemend`. */
export const COMMAND: string = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

type EventOf<Name extends PublicEvent["event"]> = Extract<PublicEvent, { event: Name }>;

function isEventName(name: unknown): name is PublicEvent["event"] {
  return typeof name === "string" && Object.hasOwn(PUBLIC_SCHEMAS, name);
}

/** @throws Error unless the line is an event exactly as documented */
function parseEvent(line: string): PublicEvent {
  const value: unknown = JSON.parse(line);
  assert.ok(typeof value === "object" && value !== null && "event" in value, line);
  assert.ok(isEventName(value.event), line);
  const event = PUBLIC_SCHEMAS[value.event].parse(value);
  assert.deepEqual(event, value, "an event has no field that is not documented");
  return event;
}

/** See the head of the file. */
export class GuardProcess implements AsyncDisposable {
  readonly child: Child;

  private constructor(child: Child) {
    this.child = child;
  }

  /**
   * Starts the driver and waits until it guards.
   *
   * @param flags for Node
   * @throws Error with its complaint if it does not
   */
  static start(input: DriverInput, ...flags: readonly string[]): Promise<GuardProcess> {
    return GuardProcess.#untilReady(GuardProcess.launch(input, ...flags));
  }

  /** The same where this machine looks different. @param wrapper program and its arguments, which becomes the driver in the end */
  static startInside(wrapper: readonly [string, ...string[]], input: DriverInput): Promise<GuardProcess> {
    const [program, ...first] = wrapper;
    const words = [...first, process.execPath, driverPath("guard-driver"), JSON.stringify(input)];
    return GuardProcess.#untilReady(new GuardProcess(Child.start(program, words)));
  }

  static async #untilReady(guard: GuardProcess): Promise<GuardProcess> {
    try {
      await guard.waitFor("ready");
      return guard;
    } catch (error) {
      const complaint = guard.child.errors.all.join("\n");
      await guard[Symbol.asyncDispose]();
      throw new Error(`the guard did not get ready: ${complaint}`, { cause: error });
    }
  }

  /** Starts the driver without waiting. @param flags for Node */
  static launch(input: DriverInput, ...flags: readonly string[]): GuardProcess {
    return new GuardProcess(
      Child.start(process.execPath, [...flags, driverPath("guard-driver"), JSON.stringify(input)]),
    );
  }

  /** Starts `hugemend guard --json` without waiting. @param words more arguments */
  static command(...words: readonly string[]): GuardProcess {
    return new GuardProcess(Child.start(process.execPath, [COMMAND, "guard", "--json", ...words]));
  }

  /** The same through another program, which may take rights from it. @param wrapper program and its arguments */
  static wrapped(wrapper: readonly [string, ...string[]], ...words: readonly string[]): GuardProcess {
    const [program, ...first] = wrapper;
    return new GuardProcess(
      Child.start(program, [...first, process.execPath, COMMAND, "guard", "--json", ...words]),
    );
  }

  get pid(): number {
    return this.child.pid;
  }

  /** All events so far. */
  get events(): readonly PublicEvent[] {
    return this.child.output.all.map(parseEvent);
  }

  /** Events of one kind so far. */
  all<Name extends PublicEvent["event"]>(name: Name): readonly EventOf<Name>[] {
    return this.events.filter((event): event is EventOf<Name> => event.event === name);
  }

  /** @param count how many of them must have come @returns the last of these @throws Error if it has ended, or in time */
  async waitFor<Name extends PublicEvent["event"]>(name: Name, count = 1): Promise<EventOf<Name>> {
    return waitUntil(`${count} × "${name}" from the guard`, () => {
      const found = this.all(name)[count - 1];
      if (found === undefined && !this.child.alive) {
        throw new Error(`the guard has ended without "${name}": ${this.child.errors.all.join("\n")}`);
      }
      return found;
    });
  }

  /** Tells it to let go, and waits. @throws AssertionError unless it ends well */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.child.kill(signal);
    assert.deepEqual(await this.child.end(), { code: 0, signal: null }, this.child.errors.all.join("\n"));
    assert.equal(this.all("detached").length, 1);
  }

  /** Ends it as nobody should. */
  async murder(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.end();
  }

  /** Waits for an end by SIGKILL at a named step. @throws AssertionError if it ended otherwise */
  async diesAtStep(): Promise<void> {
    const end: ChildEnd = await this.child.end();
    assert.deepEqual(end, { code: null, signal: "SIGKILL" }, this.child.errors.all.join("\n"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]();
  }
}
