import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PublicEvent } from "../ledger/events.js";
import { eventPrinter, sentence, size } from "./event-printer.js";

const ms = { stall: 1.5, downtime: 0, total: 1.5 };
const large = { ranges: 4, collapsed: 3 };
const where = { hva: "0x7f0000200000", gpa: "0x200000", pageSize: 2097152 };
const recovered: PublicEvent & { event: "recovered" } = {
  event: "recovered",
  ...where,
  offset: 2097152,
  lost: [{ gpa: "0x201000", bytes: 4096 }],
  salvagedBytes: 2093056,
  trigger: "AR",
  fill: "eager",
  quiesced: false,
  ms,
};
const region = { hva: "0x7f0000000000", size: 2 ** 30, pageSize: 2097152, backing: "memfd" };
const events: readonly (readonly [event: PublicEvent, expected: string])[] = [
  [
    { event: "ready", pid: 12, threads: 3, ram: [{ ...region, id: "ram0", shared: true }] },
    "guarding process 12, 3 threads; RAM: ram0 1 GiB in pages of 2 MiB",
  ],
  [
    { event: "ready", pid: 12, threads: 3, ram: [{ ...region, id: "ram0", shared: false }] },
    "guarding process 12, 3 threads; RAM: ram0 1 GiB in pages of 2 MiB, private",
  ],
  [
    { event: "ready", pid: 12, threads: 1, ram: [] },
    "guarding process 12, 1 thread; RAM: none on large pages",
  ],
  [
    {
      event: "ready",
      pid: 12,
      threads: 3,
      ram: [],
      kit: [
        { pageSize: 2097152, bytes: 2101248, addressSpace: 2101248, descriptors: 0 },
        { pageSize: 1073741824, bytes: 4096, addressSpace: 1073745920, descriptors: 1 },
      ],
    },
    "guarding process 12, 3 threads; RAM: none on large pages; ready in it: 2056 KiB of memory, 1 descriptor",
  ],
  [{ event: "warning", code: "HM_A", message: "something" }, "HM_A: something"],
  [
    { event: "refused", hva: where.hva, pageSize: where.pageSize, code: "HM_B", message: "because" },
    "HM_B: because",
  ],
  [
    recovered,
    "large page of 2 MiB at gpa 0x200000 (hva 0x7f0000200000) replaced; 2093056 bytes saved, lost: 4096 bytes at gpa 0x201000; stall 1.5 ms, downtime 0 ms",
  ],
  [
    { ...recovered, gpa: null, lost: [] },
    "large page of 2 MiB at gpa unknown (hva 0x7f0000200000) replaced; 2093056 bytes saved, lost: nothing; stall 1.5 ms, downtime 0 ms",
  ],
  [
    { event: "filled", ...where, lost: [], salvagedBytes: 1, large, ms: { total: 7 } },
    "large page at gpa 0x200000 filled after 7 ms, 3 of 4 ranges of 2 MiB are large again",
  ],
  [
    { event: "returned", ...where, bytes: 0 },
    "poisoned page at gpa 0x200000 has left its file; the kernel keeps all of it, the host gains nothing",
  ],
  [
    { event: "returned", ...where, bytes: 2093056 },
    "poisoned page at gpa 0x200000 has left its file; 2093056 bytes are free again",
  ],
  [
    { event: "poison", gpa: "0x201000", trigger: "AR" },
    "lost page at gpa 0x201000 was touched and handed to QEMU",
  ],
  [{ event: "healed", gpa: "0x200000", pageSize: 2097152 }, "large page of 2 MiB at gpa 0x200000 is back"],
  [{ event: "detached", reason: "SIGTERM" }, "SIGTERM"],
];

describe("events for people", () => {
  for (const [event, expected] of events) {
    it(`are one sentence: ${expected.slice(0, 40)}`, () => assert.equal(sentence(event), expected));
  }
  it("stand on a line of their own, with time and name", () => {
    const lines: string[] = [];
    const print = eventPrinter(false, (line) => lines.push(line));
    for (const [event] of events) print(event);
    for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z [a-z]+ +\S[^\n]*\n$/);
  });
});

describe("events for scripts", () => {
  it("are the object itself, one a line", () => {
    const lines: string[] = [];
    const print = eventPrinter(true, (line) => lines.push(line));
    for (const [event] of events) print(event);
    assert.deepEqual(
      lines.map((line): unknown => JSON.parse(line)),
      events.map(([event]) => event),
    );
    assert.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
  });
});

describe("size", () => {
  for (const [bytes, text] of [
    [0, "0 bytes"],
    [17, "17 bytes"],
    [4096, "4 KiB"],
    [2097152, "2 MiB"],
    [2 ** 30, "1 GiB"],
    [2 ** 30 + 4096, "1048580 KiB"],
  ] as const) {
    it(`says ${text}`, () => assert.equal(size(bytes), text));
  }
});
