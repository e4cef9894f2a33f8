import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecoveredEvent } from "./events.js";
import type { AttachedEvent, HealingEvent, IntentEvent } from "./internal-events.js";
import type { LedgerEvent } from "./record.js";
import { type LedgerState, replayLedger } from "./replay.js";

const PAGE = 2 ** 21;
const FILE = { device: "26", inode: "1234" };
const ATTACHED: AttachedEvent = {
  event: "attached",
  format: 1,
  pid: 10,
  startTime: "99",
  bootId: "boot-1",
  guardPid: 11,
  version: "0.1.0",
};

function intent(hva: string, gpa: string | null, lost: readonly number[]): IntentEvent {
  return {
    event: "intent",
    hva,
    gpa,
    offset: 0,
    pageSize: PAGE,
    file: FILE,
    lost,
    trigger: "AR",
    fill: "eager",
  };
}

function recovered(hva: string, gpa: string | null, more: Partial<RecoveredEvent> = {}): RecoveredEvent {
  return {
    event: "recovered",
    hva,
    gpa,
    offset: 0,
    pageSize: PAGE,
    lost: [],
    salvagedBytes: 0,
    trigger: "AR",
    fill: "eager",
    quiesced: false,
    ms: { stall: 1, downtime: 0, total: 2 },
    ...more,
  };
}

function replay(...events: readonly (LedgerEvent | null)[]): LedgerState {
  return replayLedger(
    events.map((event, i) => ({
      seq: i + 1,
      time: new Date(0).toISOString(),
      name: event?.event ?? "later",
      event,
    })),
  );
}

test("a recovery keeps the lost offsets of its intent", () => {
  const state = replay(ATTACHED, intent("0x200000", "0x0", [4096, 8192]), recovered("0x200000", "0x0"));
  assert.deepEqual(
    state.replaced.map((p) => [p.hva, p.lost, p.file, p.filled]),
    [["0x200000", [4096, 8192], FILE, true]],
  );
  assert.deepEqual(state.openIntents, []);
});

test("an intent without outcome stays open, a refusal ends it", () => {
  const open = intent("0x200000", null, []);
  assert.deepEqual(replay(open).openIntents, [open]);
  const refused: LedgerEvent = {
    event: "refused",
    hva: "0x200000",
    pageSize: PAGE,
    code: "HM_X",
    message: "m",
  };
  assert.deepEqual(replay(open, refused).openIntents, []);
  assert.deepEqual(replay(open, refused).replaced, []);
});

test("healing by hva, and by gpa alone", () => {
  const done = [intent("0x200000", "0x0", []), recovered("0x200000", "0x0")];
  const byHva = replay(...done, { event: "healed", gpa: "0x0", pageSize: PAGE, hva: "0x200000" });
  const byGpa = replay(...done, { event: "healed", gpa: "0x0", pageSize: PAGE });
  for (const state of [byHva, byGpa]) {
    assert.deepEqual(state.replaced, []);
    assert.deepEqual(state.healed, [{ hva: "0x200000", gpa: "0x0", pageSize: PAGE }]);
  }
  const other = replay(...done, { event: "healed", gpa: "0x40000000", pageSize: PAGE });
  assert.equal(other.replaced.length, 1);
});

test("a page that fails again after it was healed is replaced again", () => {
  const once = [intent("0x200000", "0x0", []), recovered("0x200000", "0x0")];
  const state = replay(...once, { event: "healed", gpa: "0x0", pageSize: PAGE }, ...once);
  assert.equal(state.replaced.length, 1);
  assert.deepEqual(state.healed, []);
});

test("a lazy recovery is filled later and finds its lost pages then", () => {
  const lazy = recovered("0x200000", "0x40000000", { fill: "lazy" });
  assert.equal(replay(lazy).replaced[0]?.filled, false);
  const state = replay(lazy, {
    event: "filled",
    hva: "0x200000",
    gpa: "0x40000000",
    pageSize: PAGE,
    lost: [{ gpa: "0x40003000", bytes: 8192 }],
    salvagedBytes: PAGE - 8192,
    large: { ranges: 0, collapsed: 0 },
    ms: { total: 5 },
  });
  assert.deepEqual(
    state.replaced.map((p) => [p.filled, p.lost]),
    [[true, [0x3000, 0x4000]]],
  );
});

test("a page that leaves its file by our hand is remembered until its place is taken again", () => {
  const returning = { event: "returning", hva: "0x200000" } as const;
  const before = [intent("0x200000", "0x0", [4096]), recovered("0x200000", "0x0")];
  assert.equal(replay(...before).replaced[0]?.givenBack, false);
  assert.equal(replay(...before, returning).replaced[0]?.givenBack, true);
  assert.equal(replay(...before, returning, ...before).replaced[0]?.givenBack, false);
  assert.deepEqual(replay(returning).replaced, []);
  const untold = replay(intent("0x200000", "0x0", [4096]), returning);
  assert.deepEqual(
    untold.replaced.map((page) => [page.lost, page.givenBack]),
    [[[4096], true]],
  );
  assert.deepEqual(untold.openIntents, []);
});

test("a range that claims more than the page is cut to the page", () => {
  const state = replay(
    recovered("0x200000", "0x0", { lost: [{ gpa: "0x1ff000", bytes: Number.MAX_SAFE_INTEGER }] }),
  );
  assert.deepEqual(state.replaced[0]?.lost, [0x1ff000]);
});

const HEALING: HealingEvent = {
  event: "healing",
  hva: "0x200000",
  gpa: "0x0",
  offset: 0,
  pageSize: PAGE,
  lost: [4096],
};

test("a heal without outcome stays open; healed, unhealed, or replaced again ends it", () => {
  const before = [intent("0x200000", "0x0", [4096]), recovered("0x200000", "0x0"), HEALING];
  const open = replay(...before);
  assert.deepEqual(open.openHeals, [HEALING]);
  assert.equal(open.replaced.length, 1);
  const healed = replay(...before, { event: "healed", gpa: "0x0", pageSize: PAGE, hva: "0x200000" });
  assert.deepEqual([healed.openHeals, healed.replaced], [[], []]);
  const kept = replay(...before, {
    event: "unhealed",
    hva: "0x200000",
    code: "HM_HEAL_POOL_EMPTY",
    lost: [],
  });
  assert.deepEqual(kept.openHeals, []);
  assert.deepEqual(kept.replaced[0]?.lost, []);
  const again = replay(...before, intent("0x200000", "0x0", [8192]), recovered("0x200000", "0x0"));
  assert.deepEqual(again.openHeals, []);
});

test("a heal shows that the swap before it had happened", () => {
  const state = replay(intent("0x200000", "0x0", [4096, 8192]), HEALING);
  assert.deepEqual(state.openIntents, []);
  assert.deepEqual(
    state.replaced.map(({ hva, lost, file }) => [hva, lost, file]),
    [["0x200000", [4096, 8192], FILE]],
  );
});

test("an open pause is told, an ended one is not", () => {
  assert.deepEqual(replay({ event: "pausing", status: "running" }).openPause, {
    event: "pausing",
    status: "running",
  });
  assert.equal(
    replay({ event: "pausing", status: "running" }, { event: "resumed", by: "guard" }).openPause,
    null,
  );
});

test("another boot forgets everything, another guard nothing", () => {
  const before = [ATTACHED, intent("0x200000", "0x0", []), recovered("0x200000", "0x0")];
  assert.equal(replay(...before, { ...ATTACHED, guardPid: 12 }).replaced.length, 1);
  const rebooted = replay(...before, { ...ATTACHED, bootId: "boot-2" });
  assert.deepEqual(rebooted.replaced, []);
  assert.equal(rebooted.attached?.bootId, "boot-2");
  const records = before.map((event, i) => ({ seq: i + 1, time: "", name: event.event, event }));
  assert.equal(replayLedger(records, "boot-1").replaced.length, 1);
  assert.deepEqual(replayLedger(records, "boot-3").replaced, []);
});

test("detached until the next guard attaches; unknown events change nothing", () => {
  assert.equal(replay(ATTACHED, { event: "detached", reason: "signal" }, null).detached, true);
  assert.equal(replay(ATTACHED, { event: "detached", reason: "signal" }, ATTACHED).detached, false);
});
