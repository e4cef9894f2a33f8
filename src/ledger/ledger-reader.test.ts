import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { LEDGER_FORMAT } from "./internal-events.js";
import { LedgerError } from "./ledger-error.js";
import { parseLedger } from "./ledger-reader.js";
import { encodeRecord, faultOf, type LedgerEvent, MAX_LINE } from "./record.js";

const PAGE = 2 ** 21;
const address = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((n) => `0x${n.toString(16)}`);
const gpa = fc.option(address);
const trigger = fc.constantFrom("AR" as const, "AO" as const);
const fill = fc.constantFrom("eager" as const, "lazy" as const);
const bytes = fc.maxSafeNat();
const lostPages = fc.uniqueArray(fc.nat(511)).map((list) => list.sort((a, b) => a - b).map((n) => n * 4096));
const anyEvent: fc.Arbitrary<LedgerEvent> = fc.oneof(
  fc.record({
    event: fc.constant("warning" as const),
    code: fc.string(),
    message: fc.string({ unit: "grapheme" }),
  }),
  fc.record({ event: fc.constant("detached" as const), reason: fc.string({ unit: "binary" }) }),
  fc.record({ event: fc.constant("poison" as const), gpa, trigger }),
  fc.record({
    event: fc.constant("recovered" as const),
    hva: address,
    gpa,
    offset: bytes,
    pageSize: fc.constant(PAGE),
    lost: fc.array(fc.record({ gpa, bytes })),
    salvagedBytes: bytes,
    trigger,
    fill,
    quiesced: fc.boolean(),
    ms: fc.record({ stall: bytes, downtime: bytes, total: bytes }),
  }),
  fc.record({
    event: fc.constant("healing" as const),
    hva: address,
    gpa,
    offset: bytes,
    pageSize: fc.constant(PAGE),
    lost: lostPages,
  }),
  fc.record({
    event: fc.constant("intent" as const),
    hva: address,
    gpa,
    offset: bytes,
    pageSize: fc.constant(PAGE),
    file: fc.constant({ device: "66306", inode: "18446744073709551615" }),
    lost: lostPages,
    trigger,
    fill,
  }),
);
const anyLedger = fc.array(anyEvent, { minLength: 1, maxLength: 6 });

function ledgerOf(events: readonly LedgerEvent[]): Buffer {
  return Buffer.concat(events.map((event, i) => encodeRecord(i + 1, new Date(i), event)));
}

/** JSON without the difference between -0 and 0, which it does not keep. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** Either a prefix of the right records and a torn tail, or a typed error with a line number. */
function assertPrefixOrRefusal(damaged: Buffer, events: readonly LedgerEvent[], damagedAt: number): void {
  try {
    const { records, tornTail, goodBytes } = parseLedger(damaged, "test");
    assert.deepEqual(
      records.map((r) => plain(r.event)),
      events.slice(0, records.length).map(plain),
    );
    assert.equal(goodBytes + (tornTail?.bytes ?? 0), damaged.length);
    assert.ok(records.length === events.length ? damagedAt >= goodBytes : damaged.length >= goodBytes);
  } catch (error) {
    assert.ok(error instanceof LedgerError, String(error));
    assert.equal(error.code, "HM_LEDGER_CORRUPT");
    assert.match(error.message, /^Line [1-9][0-9]* of the ledger test is damaged: /);
  }
}

test("what was written is read", () => {
  fc.assert(
    fc.property(anyLedger, (events) => {
      const { records, tornTail } = parseLedger(ledgerOf(events), "test");
      assert.deepEqual(
        records.map((r) => plain(r.event)),
        events.map(plain),
      );
      assert.equal(tornTail, null);
    }),
  );
});

test("a changed byte never yields a wrong record", () => {
  fc.assert(
    fc.property(anyLedger, fc.nat(), fc.integer({ min: 1, max: 255 }), (events, where, change) => {
      const bytes = ledgerOf(events);
      const at = where % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ change;
      assertPrefixOrRefusal(bytes, events, at);
    }),
    { numRuns: 2000 },
  );
});

test("a ledger cut anywhere yields the whole lines before the cut", () => {
  fc.assert(
    fc.property(anyLedger, fc.nat(), (events, where) => {
      const whole = ledgerOf(events);
      const cut = where % whole.length;
      const { records, tornTail, goodBytes } = parseLedger(whole.subarray(0, cut), "test");
      assert.deepEqual(
        records.map((r) => plain(r.event)),
        events.slice(0, records.length).map(plain),
      );
      assert.equal(records.length, whole.subarray(0, cut).filter((byte) => byte === 10).length);
      assert.equal(tornTail?.bytes ?? 0, cut - goodBytes);
    }),
  );
});

test("removed and doubled lines are refused with their number", () => {
  const lines = [1, 2, 3].map((n) => encodeRecord(n, new Date(0), { event: "detached", reason: String(n) }));
  const [one, two, three] = lines;
  assert.ok(one && two && three);
  assert.throws(
    () => parseLedger(Buffer.concat([one, three]), "x"),
    /Line 2 .* sequence number is 3, expected 2/,
  );
  assert.throws(
    () => parseLedger(Buffer.concat([one, two, two]), "x"),
    /Line 3 .* sequence number is 2, expected 3/,
  );
  assert.throws(() => parseLedger(Buffer.concat([two]), "x"), /Line 1 /);
});

test("any bytes give records or a typed error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assertPrefixOrRefusal(Buffer.from(bytes), [], bytes.length);
    }),
  );
});

test("a last line with a newline and a bad checksum is damage, not a torn tail", () => {
  const bytes = ledgerOf([{ event: "detached", reason: "x" }]);
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  assert.throws(() => parseLedger(bytes, "x"), { code: "HM_LEDGER_CORRUPT" });
});

test("events and fields of later versions are skipped, a later format is refused", () => {
  const line = encodeRecord(1, new Date(0), { event: "detached", reason: "x" });
  const later = relabel(line, (record) => ({ ...record, event: "teleported", to: "mars" }));
  assert.deepEqual(parseLedger(later, "x").records[0]?.event, null);
  assert.equal(parseLedger(later, "x").records[0]?.name, "teleported");
  const more = relabel(line, (record) => ({ ...record, mood: "good" }));
  assert.deepEqual(parseLedger(more, "x").records[0]?.event, { event: "detached", reason: "x" });
  const changed = relabel(line, () => ({ event: "detached", reason: { code: 1 } }));
  assert.throws(() => parseLedger(changed, "x"), { code: "HM_LEDGER_FORMAT" });
  const format = encodeRecord(1, new Date(0), {
    event: "attached",
    format: LEDGER_FORMAT + 1,
    pid: 1,
    startTime: "1",
    bootId: "b",
    guardPid: 2,
    version: "9",
  });
  assert.throws(() => parseLedger(format, "x"), { code: "HM_LEDGER_FORMAT" });
});

test("a line that could not be read back is known", () => {
  assert.equal(faultOf(encodeRecord(7, new Date(0), { event: "detached", reason: "x" }), 7), null);
  const wrong = { event: "healed" as const, gpa: "12", pageSize: 4096 };
  assert.match(faultOf(encodeRecord(7, new Date(0), wrong), 7) ?? "", /another version.*gpa/s);
  const endless = { event: "resumed", by: "guard", after: Number.NaN };
  const right = encodeRecord(7, new Date(0), { event: "resumed", by: "guard" });
  assert.equal(
    faultOf(
      relabel(right, () => ({ ...endless, event: "reborn" })),
      7,
    ),
    'there is no event "reborn"',
  );
  assert.equal(faultOf(right, 8), "the sequence number is 7, expected 8");
});

/** Changes a line's record and gives it a right checksum again, as another version would have written it. */
function relabel(line: Buffer, change: (record: Record<string, unknown>) => unknown): Buffer {
  const { seq, time, record } = JSON.parse(line.toString());
  const rest = JSON.stringify({ seq, time, record: change(record) }).slice(1);
  return Buffer.from(`{"crc":"${crc32(rest).toString(16).padStart(8, "0")}",${rest}\n`);
}

test("an end as long as a line can be is dropped, a longer one is refused", () => {
  const whole = encodeRecord(1, new Date(0), { event: "detached", reason: "x" });
  const { records, tornTail } = parseLedger(Buffer.concat([whole, Buffer.alloc(MAX_LINE - 1)]), "test");
  assert.equal(records.length, 1);
  assert.deepEqual(tornTail, { offset: whole.length, bytes: MAX_LINE - 1 });
  assert.throws(() => parseLedger(Buffer.concat([whole, Buffer.alloc(MAX_LINE)]), "test"), {
    code: "HM_LEDGER_CORRUPT",
    message: new RegExp(`^Line 2 of the ledger test is damaged: ${MAX_LINE} bytes without an end`),
  });
});
