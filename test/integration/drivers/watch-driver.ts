/**
 * Sends the main thread of a process into a wait of its own, and then watches it: before each write(2) it stands until told.
 * Prints `watching`, and `stands` each time. Understands `on` (this write), `end` (all), and the end of its input, at which it dies.
 *
 *   node watch-driver.js '{"pid":…}'
 */

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { z } from "zod";
import { currentArchitecture } from "../../../src/linux/arch/current.js";
import { writeProcess } from "../../../src/linux/process-memory.js";
import { Tracee } from "../../../src/tracee/tracee.js";

const WAIT_NS = 50_000_000n;

const { pid } = z.object({ pid: z.int() }).parse(JSON.parse(process.argv[2] ?? "{}"));
const tracee = Tracee.attach(pid);
tracee.start({ busError: (held) => held.deliver(), gone: () => process.exit(1) });
const held = tracee.hold(pid);
assert.ok(held);
{
  using remote = held.borrow();
  const time = Buffer.alloc(16);
  time.writeBigUInt64LE(WAIT_NS, 8);
  writeProcess(pid, remote.data, time);
  // SAFETY: waits, and comes home by itself.
  remote.leaveWith("ppoll", 0, 0, remote.data, 0, 8);
}
const { write } = currentArchitecture().systemCalls;
const watch = held.watchCalls(({ number }) => {
  if (number !== write) return false;
  process.stdout.write("stands\n");
  return true;
});
process.stdout.write("watching\n");
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => (line === "on" ? watch.goOn() : watch.end()));
lines.on("close", () => process.kill(process.pid, "SIGKILL"));
