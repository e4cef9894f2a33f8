/**
 * Borrows every thread of a process for remote system calls, again and again, until it is ended. Prints one JSON line a round;
 * says what is wrong and ends with 1 when a thread does not get back exactly what it had.
 *
 *   node remote-driver.js '{"pid":…,"rounds":10}'
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setImmediate as breathe } from "node:timers/promises";
import { z } from "zod";
import { errno } from "../../../src/linux/errno.js";
import * as ptrace from "../../../src/linux/ptrace.js";
import type { HeldThread } from "../../../src/tracee/held-thread.js";
import { RemoteCallError } from "../../../src/tracee/remote-calls.js";
import { Tracee } from "../../../src/tracee/tracee.js";

const options = z
  .object({ pid: z.int(), rounds: z.int().default(Number.MAX_SAFE_INTEGER) })
  .parse(JSON.parse(process.argv[2] ?? "{}"));

interface ThreadState {
  readonly registers: string;
  readonly mask: bigint;
  readonly vectors: string;
}

/** XSTATE_BV: which parts differ from their initial values. The processor may find that out at any time; the values stay. */
const XSAVE_HEADER = 512;

function stateOf(tid: number): ThreadState {
  const vectors = ptrace.readVectorState(tid).fill(0, XSAVE_HEADER, XSAVE_HEADER + 8);
  return {
    registers: ptrace.readRegisters(tid).toString("hex"),
    mask: ptrace.readSignalMask(tid),
    vectors: createHash("sha256").update(vectors).digest("hex"),
  };
}

function borrow(held: HeldThread): void {
  const before = stateOf(held.tid);
  {
    using remote = held.borrow();
    assert.equal(remote.call("getpid"), BigInt(options.pid));
    assert.equal(remote.call("gettid"), BigInt(held.tid));
    assert.throws(
      () => remote.call("close", -1),
      (error) => error instanceof RemoteCallError && error.errno === errno.EBADF,
    );
  }
  assert.deepEqual(stateOf(held.tid), before);
  // A scope that makes no call, and one that is left by an error, give everything back too.
  {
    using _remote = held.borrow();
  }
  assert.deepEqual(stateOf(held.tid), before);
  assert.throws(() => {
    using _remote = held.borrow();
    throw new Error("on purpose");
  }, /on purpose/);
  assert.deepEqual(stateOf(held.tid), before);
}

const tracee = Tracee.attach(options.pid);
let gone = false;
let stopping = false;
process.once("SIGTERM", () => {
  stopping = true;
});
tracee.start({
  busError: (held) => held.deliver(),
  gone: () => {
    gone = true;
  },
});
process.stdout.write(`${JSON.stringify({ event: "attached", threads: tracee.threadIds.length })}\n`);
for (let round = 1; round <= options.rounds && !gone && !stopping; round++) {
  let borrowed = 0;
  for (const tid of tracee.threadIds) {
    const held = tracee.holdAny([tid]);
    try {
      borrow(held);
      borrowed += 1;
    } finally {
      held.withhold();
    }
    await breathe();
  }
  process.stdout.write(`${JSON.stringify({ event: "round", round, borrowed })}\n`);
}
tracee.detach();
