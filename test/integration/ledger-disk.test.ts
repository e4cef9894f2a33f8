/** What a ledger's record survives: at once the death of its writer, soon a crash of the host; and what becomes of it on a disk that fails. */

import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { readLedger } from "../../src/ledger/ledger-reader.js";
import type { LedgerWriter } from "../../src/ledger/ledger-writer.js";
import { openLedger } from "../../src/ledger/open-ledger.js";
import { encodeRecord, type LedgerEvent } from "../../src/ledger/record.js";
import { Child } from "../framework/child.js";
import { FailingDisk } from "../framework/failing-disk.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";

const ID = { pid: 4242, startTime: "1234567" };
const MODULE = new URL("../../src/ledger/open-ledger.js", import.meta.url).href;
/** Long enough for any fdatasync(2), much less than the kernel waits by itself (vm.dirty_expire_centisecs, 30 s). */
const SOON_MS = 1000;
const BLOCK = 4096;

function warning(message: string): { event: "warning"; code: string; message: string } {
  return { event: "warning", code: "HM_TEST", message };
}

/** Appends record `seq`, just as long that the next one begins in a block that the disk has never seen. */
function endBlock(ledger: LedgerWriter, seq: number): LedgerEvent {
  const least = statSync(ledger.path).size + encodeRecord(seq, new Date(), warning("")).length;
  const event = warning("b".repeat(BLOCK - (least % BLOCK)));
  assert.equal(ledger.append(event), seq);
  assert.equal(statSync(ledger.path).size % BLOCK, 0);
  return event;
}

test("a record survives a writer that is killed with -9 right after it, before the disk has it", async () => {
  await using disk = await FailingDisk.start();
  const code = `
    import { openLedger } from ${JSON.stringify(MODULE)};
    const ledger = openLedger(${JSON.stringify(disk.path)}, ${JSON.stringify(ID)});
    ledger.append(${JSON.stringify(warning("last words"))});
    process.kill(process.pid, "SIGKILL");`;
  await using child = Child.start(process.execPath, ["--input-type=module", "-e", code]);
  assert.equal((await child.ended).signal, "SIGKILL");
  assert.equal(disk.holds("last words"), false, "nobody has put it on the disk");
  using next = openLedger(disk.path, ID);
  assert.deepEqual(
    next.history.map(({ event }) => event),
    [warning("last words")],
  );
});

test("the disk has a record soon, without another word", async () => {
  await using disk = await FailingDisk.start();
  using ledger = openLedger(disk.path, ID);
  ledger.append(warning("first"));
  ledger.append(warning("second"));
  assert.equal(disk.holds("first"), false, "nobody waited for it");
  await waitUntil("both records are on the disk", () => disk.holds("first") && disk.holds("second"), SOON_MS);
  ledger.append(warning("third"));
  await waitUntil("so is the third", () => disk.holds("third"), SOON_MS);
});

test("the disk has it at once if it must, and when the ledger is closed", async () => {
  await using disk = await FailingDisk.start();
  using ledger = openLedger(disk.path, ID);
  ledger.append(warning("attached"));
  ledger.sync();
  assert.ok(disk.holds("attached"));
  ledger.append(warning("detached"));
  ledger.close();
  assert.ok(disk.holds("detached"));
});

test("closed while the disk is busy: nothing is missing and the file system can be unmounted", async () => {
  await using disk = await FailingDisk.start();
  using ledger = openLedger(disk.path, ID);
  ledger.append(warning("first"));
  // The sync begins in the event loop's next turn; this continues right after it.
  await new Promise(setImmediate);
  ledger.append(warning("second"));
  ledger.close();
  assert.ok(disk.holds("first") && disk.holds("second"));
});

test("a disk that fails is told, nothing more is taken until it works, and then nothing is missing", async () => {
  await using disk = await FailingDisk.start();
  const troubles: string[] = [];
  using ledger = openLedger(disk.path, ID);
  ledger.onTrouble(({ code, message }) => troubles.push(`${code} ${message}`));
  const before = endBlock(ledger, 1);
  ledger.sync();
  disk.fail();
  const long = "x".repeat(BLOCK);
  assert.equal(ledger.append(warning(long)), 2, "the kernel takes it");
  await waitUntil("the trouble is told", () => troubles.length > 0, SOON_MS);
  assert.match(troubles[0] ?? "", /^HM_LEDGER_NOT_ON_DISK .*(EIO|ENOSPC).*Check the disk/);
  assert.throws(() => ledger.append(warning("refused")), { code: "HM_LEDGER_NOT_ON_DISK" });
  assert.throws(() => ledger.sync(), { code: "HM_LEDGER_NOT_ON_DISK" });
  assert.equal(troubles.length, 1, "once");
  disk.mend();
  assert.equal(ledger.append(warning("after")), 3);
  assert.ok(disk.holds(long), "what was in doubt is on the disk before anything follows it");
  ledger.sync();
  // SAFETY: the kernel reads again what it drops here.
  writeFileSync("/proc/sys/vm/drop_caches", "1");
  const { records, tornTail } = readLedger(ledger.path);
  assert.equal(tornTail, null);
  assert.deepEqual(
    records.map(({ event }) => event),
    [before, warning(long), warning("after")],
  );
  endBlock(ledger, 4);
  ledger.sync();
  disk.fail();
  ledger.append(warning(long));
  ledger.close();
  assert.equal(troubles.length, 2, "a close that fails is told too");
  disk.mend();
});

test("a record that could not be read back is taken back, those after it are kept", async () => {
  using folder = new TemporaryFolder();
  const troubles: string[] = [];
  using ledger = openLedger(folder.path, ID);
  ledger.onTrouble(({ code, message }) => troubles.push(`${code} ${message}`));
  ledger.append(warning("one"));
  ledger.append({ event: "healed", gpa: "no address", pageSize: 4096 });
  ledger.append(warning("two"));
  await waitUntil("somebody looks", () => troubles.length > 0, SOON_MS);
  assert.match(troubles[0] ?? "", /^HM_LEDGER_RECORD .*gpa/s);
  assert.equal(ledger.append(warning("three")), 3);
  ledger.append({ event: "healed", gpa: "no address", pageSize: 4096 });
  ledger.sync();
  assert.equal(troubles.length, 2, "looked at before it goes to the disk");
  assert.deepEqual(
    readLedger(ledger.path).records.map(({ seq, event }) => [seq, event]),
    [
      [1, warning("one")],
      [2, warning("two")],
      [3, warning("three")],
    ],
  );
});
