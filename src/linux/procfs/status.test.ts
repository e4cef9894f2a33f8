import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import { hasCapability, hasSignal, parseStatus, readStatus, readThreadStatus } from "./status.js";
import { readTasks } from "./tasks.js";

/** Objects as the parsers make them, so that deepEqual compares fields only. */
const PLAIN = { noNullPrototype: true } as const;

const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const id = fc.integer({ min: 0, max: 4_194_304 });
const uid = fc.integer({ min: 0, max: 4_294_967_295 });
const statusArbitrary = fc.record(
  {
    name: fc.string({ unit: "binary", maxLength: 15 }).filter((text) => !text.includes("\0")),
    state: fc.constantFrom("R", "S", "D", "T", "t", "Z", "I"),
    tgid: id,
    pid: id,
    ppid: id,
    tracerPid: id,
    uid: fc.record({ real: uid, effective: uid, saved: uid, fs: uid }, PLAIN),
    threads: id,
    sigBlk: word,
    sigIgn: word,
    sigCgt: word,
    capEff: word,
    nsPid: fc.option(fc.array(id, { minLength: 1, maxLength: 4 }), { nil: undefined }),
    seccomp: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
    lockedBytes: fc.option(
      fc.nat(1_000_000_000).map((kilobytes) => kilobytes * 1024),
      { nil: undefined },
    ),
  },
  PLAIN,
);
type Status = ReturnType<typeof parseStatus>;

/** Writes a status as proc_pid_status() does, with some of the lines that are not read. */
function render(status: Status): string {
  const mask = (value: bigint) => value.toString(16).padStart(16, "0");
  const { real, effective, saved, fs } = status.uid;
  return [
    `Name:\t${status.name.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
    "Umask:\t0022",
    `State:\t${status.state} (sleeping)`,
    `Tgid:\t${status.tgid}`,
    "Ngid:\t0",
    `Pid:\t${status.pid}`,
    `PPid:\t${status.ppid}`,
    `TracerPid:\t${status.tracerPid}`,
    `Uid:\t${real}\t${effective}\t${saved}\t${fs}`,
    "Gid:\t0\t0\t0\t0",
    "Groups:\t ",
    ...(status.nsPid === undefined ? [] : [`NSpid:\t${status.nsPid.join("\t")}`]),
    ...(status.lockedBytes === undefined
      ? []
      : [`VmLck:\t${String(status.lockedBytes / 1024).padStart(8)} kB`]),
    `Threads:\t${status.threads}`,
    "SigQ:\t0/96365",
    `SigBlk:\t${mask(status.sigBlk)}`,
    `SigIgn:\t${mask(status.sigIgn)}`,
    `SigCgt:\t${mask(status.sigCgt)}`,
    `CapEff:\t${mask(status.capEff)}`,
    ...(status.seccomp === undefined ? [] : [`Seccomp:\t${status.seccomp}`]),
    "",
  ].join("\n");
}

describe("status", () => {
  it("reads back every status the kernel can print", () => {
    fc.assert(
      fc.property(statusArbitrary, (status) => {
        assert.deepEqual(parseStatus(render(status)), status);
      }),
      { numRuns: 1000 },
    );
  });

  it("gives a value or a LinuxError for any text and any missing line", () => {
    fc.assert(
      fc.property(
        statusArbitrary,
        fc.nat(20),
        fc.string({ unit: "binary-ascii" }),
        (status, drop, insert) => {
          const lines = render(status).split("\n");
          lines.splice(drop, 1, insert);
          for (const text of [lines.join("\n"), insert]) {
            try {
              parseStatus(text);
            } catch (error) {
              assert.ok(error instanceof LinuxError, String(error));
            }
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("a process cannot forge a field through its name", () => {
    const honest: Status = { ...readStatus(process.pid), name: "x\nTracerPid:\t99", tracerPid: 7 };
    assert.equal(parseStatus(render(honest)).tracerPid, 7);
    assert.equal(parseStatus(render(honest)).name, honest.name);
  });

  it("refuses a status without its signal masks", () => {
    const text = render(readStatus(process.pid)).replace(/^SigBlk:.*\n/m, "");
    assert.throws(() => parseStatus(text), { name: "LinuxError", code: "HM_PROC_FORMAT" });
  });

  it("reads this process and each of its threads", () => {
    const status = readStatus(process.pid);
    assert.equal(status.pid, process.pid);
    assert.equal(status.tgid, process.pid);
    assert.equal(status.uid.effective, process.geteuid?.());
    assert.ok(status.threads > 1);
    for (const tid of readTasks(process.pid)) {
      const thread = readThreadStatus(process.pid, tid);
      assert.equal(thread.pid, tid);
      assert.equal(thread.tgid, process.pid);
    }
  });

  it("numbers signals from 1 and capabilities from 0", () => {
    assert.equal(hasSignal(1n << 6n, 7), true);
    assert.equal(hasSignal(1n << 7n, 7), false);
    assert.equal(hasSignal(1n << 63n, 64), true);
    const status = { ...readStatus(process.pid), capEff: 1n << 19n };
    assert.equal(hasCapability(status, 19), true);
    assert.equal(hasCapability(status, 21), false);
  });
});
