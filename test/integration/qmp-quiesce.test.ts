import assert from "node:assert/strict";
import { test } from "node:test";
import type { PausingEvent, ResumedEvent } from "../../src/ledger/internal-events.js";
import type { QmpClient } from "../../src/qemu/qmp-client.js";
import { QmpCommands, type VmStatus } from "../../src/qemu/qmp-commands.js";
import type { QmpConnection } from "../../src/qemu/qmp-connection.js";
import { Quiescer } from "../../src/qemu/quiesce.js";
import { inTime, waitUntil } from "../framework/wait-until.js";
import { StockQemu } from "./qmp-stock-qemu.js";

interface Rig extends AsyncDisposable {
  readonly qemu: StockQemu;
  readonly client: QmpClient;
  readonly operator: QmpConnection;
  readonly quiescer: Quiescer;
  /** The journal, as `pausing:running` and `resumed:guard`. */
  readonly journal: string[];
  status(): Promise<VmStatus>;
}

async function rig(options: { paused?: boolean } = {}): Promise<Rig> {
  const qemu = await StockQemu.start({ monitors: 3, paused: options.paused ?? false });
  const client = await qemu.connect();
  const operator = await qemu.operator();
  const journal: string[] = [];
  const note = (e: PausingEvent | ResumedEvent): void => {
    journal.push(e.event === "pausing" ? `pausing:${e.status}` : `resumed:${e.by}`);
  };
  return {
    qemu,
    client,
    operator,
    quiescer: new Quiescer(client, note),
    journal,
    status: () => new QmpCommands(operator).queryStatus(),
    async [Symbol.asyncDispose]() {
      client.close();
      operator.close();
      await qemu[Symbol.asyncDispose]();
    },
  };
}

const RUNNING: VmStatus = { running: true, status: "running" };
const PAUSED: VmStatus = { running: false, status: "paused" };

test("a running VM is paused and runs again", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  assert.deepEqual(await r.status(), PAUSED);
  assert.deepEqual([lease.own, lease.status, lease.drained, lease.held()], [true, "running", true, true]);
  assert.equal(await lease.confirmHeld(), true);
  assert.deepEqual(r.journal, ["pausing:running"]);
  assert.equal(await lease.resume(), "guard");
  assert.equal(await lease.resume(), "guard");
  assert.deepEqual(await r.status(), RUNNING);
  assert.equal(lease.held(), false);
  assert.deepEqual(r.journal, ["pausing:running", "resumed:guard"]);
});

test("a VM that the operator has paused stays paused and is not written down", async () => {
  await using r = await rig();
  await r.operator.execute("stop");
  const lease = await r.quiescer.pause();
  assert.deepEqual([lease.own, lease.status, lease.drained, lease.held()], [false, "paused", true, true]);
  assert.equal(await lease.resume(), "found");
  assert.deepEqual(await r.status(), PAUSED);
  assert.deepEqual(r.journal, []);
});

test("a VM that was never started is left so", async () => {
  await using r = await rig({ paused: true });
  const lease = await r.quiescer.pause();
  assert.deepEqual([lease.own, lease.status, lease.drained], [false, "prelaunch", true]);
  await lease.resume();
  assert.equal((await r.status()).status, "prelaunch");
});

test("the operator resumes a VM found paused: seen before the swap", async () => {
  await using r = await rig();
  await r.operator.execute("stop");
  const lease = await r.quiescer.pause();
  await r.operator.execute("cont");
  assert.equal(await lease.confirmHeld(), false);
  assert.deepEqual([lease.interrupted, lease.held()], [true, false]);
  await lease.resume();
  assert.deepEqual(await r.status(), RUNNING);
});

test("the operator resumes while we hold the VM: seen, and left running", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  await r.operator.execute("cont");
  await waitUntil("the interruption", () => lease.interrupted);
  assert.equal(lease.held(), false);
  assert.equal(await lease.resume(), "other");
  assert.deepEqual(await r.status(), RUNNING);
  assert.deepEqual(r.journal, ["pausing:running", "resumed:other"]);
});

test("the operator resumes and pauses while we hold the VM: it stays paused", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  await r.operator.execute("cont");
  await r.operator.execute("stop");
  assert.equal(await lease.confirmHeld(), false);
  assert.equal(await lease.resume(), "kept");
  assert.deepEqual(await r.status(), PAUSED);
  assert.deepEqual(r.journal, ["pausing:running", "resumed:kept"]);
});

test("the operator pauses between our first question and our stop: it stays paused", async () => {
  await using r = await rig();
  let theirs: Promise<unknown> = Promise.resolve();
  const session = {
    closedBy: null,
    onDisconnect: (listener: () => void) => r.client.onDisconnect(listener),
    on: r.client.on.bind(r.client),
    async execute(...args: Parameters<QmpClient["execute"]>) {
      await theirs;
      return r.client.execute(...args);
    },
  };
  // The journal is written at exactly that point.
  const quiescer = new Quiescer(session, (event) => {
    if (event.event === "pausing") theirs = r.operator.execute("stop");
    r.journal.push(event.event === "resumed" ? `resumed:${event.by}` : event.event);
  });
  const lease = await quiescer.pause();
  assert.deepEqual([lease.own, lease.status, lease.held()], [false, "paused", true]);
  assert.equal(await lease.resume(), "found");
  assert.deepEqual(await r.status(), PAUSED);
  assert.deepEqual(r.journal, ["pausing", "resumed:kept"]);
});

test("an operator's pause right after ours ended is theirs", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  await Promise.all([lease.resume(), r.operator.execute("stop")]);
  await r.operator.execute("stop");
  assert.deepEqual(await r.status(), PAUSED);
});

test("a reset while we hold the VM: it runs again afterwards", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  const reset = new Promise<void>((resolve) => r.client.on("RESET", () => resolve()));
  await r.operator.execute("system_reset");
  await inTime("RESET", reset);
  assert.equal(await lease.confirmHeld(), true);
  assert.equal((await r.status()).status, "prelaunch");
  assert.equal(await lease.resume(), "guard");
  assert.deepEqual(await r.status(), RUNNING);
});

test("a stop that comes too late is undone behind the scenes", async () => {
  await using r = await rig();
  let hung = false;
  const hang = new Quiescer(
    r.client,
    (event) => {
      // QEMU hangs after it has answered the first question.
      if (!hung) r.qemu.child.kill("SIGSTOP");
      hung = true;
      r.journal.push(event.event === "resumed" ? `resumed:${event.by}` : event.event);
    },
    { stopMs: 300 },
  );
  await assert.rejects(hang.pause(), { code: "HM_QUIESCE_TIMEOUT" });
  await assert.rejects(hang.pause(), { code: "HM_QUIESCE_BUSY" });
  r.qemu.child.kill("SIGCONT");
  await inTime("the undoing", hang.idle());
  assert.deepEqual(await r.status(), RUNNING);
  assert.deepEqual(r.journal, ["pausing", "resumed:guard"]);
  const lease = await hang.pause();
  assert.equal(await lease.resume(), "guard");
});

test("giving up a pause undoes it", async () => {
  await using r = await rig();
  const aborter = new AbortController();
  const quiescer = new Quiescer(r.client, () => aborter.abort());
  await assert.rejects(quiescer.pause(aborter.signal), { code: "HM_QMP_ABORTED" });
  await inTime("the undoing", quiescer.idle());
  assert.deepEqual(await r.status(), RUNNING);
});

test("a journal that cannot be written prevents the pause", async () => {
  await using r = await rig();
  const stops: string[] = [];
  r.operator.on("STOP", () => stops.push("STOP"));
  const quiescer = new Quiescer(r.client, () => {
    throw new Error("the disk is full");
  });
  await assert.rejects(quiescer.pause(), /the disk is full/);
  assert.deepEqual(await r.status(), RUNNING);
  assert.deepEqual(stops, []);
  await assert.rejects(quiescer.pause(), /the disk is full/);
});

test("one pause at a time", async () => {
  await using r = await rig();
  await using lease = await r.quiescer.pause();
  await assert.rejects(r.quiescer.pause(), { code: "HM_QUIESCE_BUSY" });
  assert.equal(lease.held(), true);
});

test("a pause left by a dead guard is undone by the next one", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  assert.equal(lease.own, true);
  r.client.close();
  using second = await r.qemu.connect();
  const notes: string[] = [];
  const quiescer = new Quiescer(second, (event) => notes.push(event.event));
  assert.equal(await quiescer.undoLeftover(), "guard");
  assert.deepEqual(await r.status(), RUNNING);
  assert.equal(await quiescer.undoLeftover(), "none");
  assert.deepEqual(notes, ["resumed", "resumed"]);
});

test("QEMU dies while we hold it: told, and the pause stays open", async () => {
  await using r = await rig();
  const lease = await r.quiescer.pause();
  await r.qemu.kill();
  await waitUntil("the loss", () => lease.interrupted);
  const ended = assert.rejects(lease.resume(), { code: "HM_QUIESCE_LOST" });
  r.client.close();
  await inTime("the end", ended);
  assert.deepEqual(r.journal, ["pausing:running"]);
});
