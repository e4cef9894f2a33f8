/** A large page at an error is replaced, with the lost bytes lost and no other byte changed; or it is left alone. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ledgerPath } from "../../src/ledger/ledger-folder.js";
import { readLedger } from "../../src/ledger/ledger-reader.js";
import { hva } from "../../src/linux/address.js";
import { collapseRange } from "../../src/linux/collapse.js";
import { errno } from "../../src/linux/errno.js";
import { closeDescriptor, openProcess } from "../../src/linux/pidfd.js";
import { readStat } from "../../src/linux/procfs/stat.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertNothingLeft, assertUntouched, overlaysIn, vmFlags } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim, SMALL_PAGES } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const BUS_ADRERR = 2;
const BUS_MCEERR_AO = 5;

/** What a touch of poison says here: the code and size that a kernel without CONFIG_MEMORY_FAILURE gives. */
function lost(address: bigint): string {
  return `lost ${BUS_ADRERR} 0x${address.toString(16)} 0`;
}

function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}

describe("a large page at an error", () => {
  const cases: readonly (readonly [which: string, offsets: readonly number[]])[] = [
    ["nothing", []],
    ["the first 4 KiB", [0]],
    ["4 KiB in the middle", [LARGE_PAGE / 2]],
    ["the last 4 KiB", [LARGE_PAGE - 4096]],
    ["the first, two in the middle and the last", [0, 409600, 413696, LARGE_PAGE - 4096]],
    ["all but one", Array.from({ length: SMALL_PAGES - 1 }, (_, index) => (index + 1) * 4096)],
  ];
  for (const [which, offsets] of cases) {
    it(`is replaced, with ${which} lost`, async () => {
      await using ram = await RamVictim.start(3);
      using ledger = new TemporaryFolder();
      await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: offsets });
      await ram.poison(1);
      const intact = offsets.includes(8192) ? 0 : 8192;
      assert.equal(await ram.touch(1, intact), "ok");
      const recovered = await guard.waitFor("recovered");
      assert.equal(recovered.hva, hex(ram.at(1)));
      assert.equal(recovered.offset, LARGE_PAGE);
      assert.equal(recovered.pageSize, LARGE_PAGE);
      assert.equal(recovered.salvagedBytes, LARGE_PAGE - offsets.length * 4096);
      assert.equal(
        recovered.lost.reduce((sum, { bytes }) => sum + bytes, 0),
        offsets.length * 4096,
      );
      await ram.checkAll({ 1: offsets.length });
      for (const offset of offsets.slice(0, 4)) {
        // Twice: a lost page stays lost, and every touch tells its exact address.
        for (const inside of [16, 2048]) {
          assert.equal(await ram.touch(1, offset + inside), lost(ram.at(1, offset + inside)));
        }
      }
      assert.equal(overlaysIn(ram.pid), 1);
      await guard.stop();
      await ram.checkAll({ 1: offsets.length });
      await assertUntouched(ram.pid);
    });
  }

  it("is left alone when no byte can be read", async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({
      pid: ram.pid,
      ledger: ledger.path,
      readFrom: hex(ram.start),
    });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 64), lost(ram.at(1, 64)));
    const refused = await guard.waitFor("refused");
    assert.equal(refused.code, "HM_SALVAGE_ALL_LOST");
    assert.equal(refused.hva, hex(ram.at(1)));
    // Every further touch gets its own signal at once, as without a guard.
    assert.equal(await ram.touch(1, 4096), lost(ram.at(1, 4096)));
    await ram.check(1, SMALL_PAGES);
    await ram.check(0);
    assert.equal(guard.all("refused").length, 1);
    assert.equal(overlaysIn(ram.pid), 0);
    await guard.stop();
    // The data was never touched: mapped anew, the file still holds all of it.
    await ram.victim.ask("remap 1");
    await ram.checkAll();
    await assertUntouched(ram.pid);
  });

  it("is left alone when all of it can be read: then nobody knows what the signal meant", async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({
      ...{ pid: ram.pid, ledger: ledger.path },
      acceptsIntact: false,
    });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 64), lost(ram.at(1, 64)));
    assert.equal((await guard.waitFor("refused")).code, "HM_SALVAGE_NOTHING_LOST");
    await ram.check(1, SMALL_PAGES);
    assert.equal(overlaysIn(ram.pid), 0);
    await guard.stop();
    await ram.victim.ask("remap 1");
    await ram.checkAll();
    await assertUntouched(ram.pid);
  });

  it("is left alone when it is mapped privately", async () => {
    await using ram = await RamVictim.start(2, { words: ["private"] });
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path });
    assert.ok(guard.all("warning").some(({ code }) => code === "HM_RAM_PRIVATE"));
    assert.equal(guard.all("ready")[0]?.ram[0]?.shared, false);
    await ram.poison(1);
    assert.equal(await ram.touch(1), lost(ram.at(1)));
    assert.equal((await guard.waitFor("refused")).code, "HM_PLAN_PRIVATE");
    await ram.check(0);
    await ram.check(1, SMALL_PAGES);
    assert.equal(overlaysIn(ram.pid), 0);
    await guard.stop();
    await assertUntouched(ram.pid);
  });

  it("is left alone when another process maps it too", async () => {
    await using ram = await RamVictim.start(1);
    await using other = await RamVictim.start(1, { words: ["shared", `/proc/${ram.pid}/fd/3`] });
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path });
    await ram.poison(0);
    assert.equal(await ram.touch(0), lost(ram.at(0)));
    const { code, message } = await guard.waitFor("refused");
    assert.equal(code, "HM_PLAN_SHARED_WITH_OTHERS");
    assert.ok(message.includes(`${other.pid} (qemu-system-lar`), message);
    await other.check(0);
    await guard.stop();
  });

  it("is recovered again and again, page after page", async () => {
    await using ram = await RamVictim.start(4);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: [4096] });
    for (const page of [2, 0, 3, 1]) {
      await ram.poison(page);
      assert.equal(await ram.touch(page), "ok");
    }
    await guard.waitFor("recovered", 4);
    await ram.checkAll({ 0: 1, 1: 1, 2: 1, 3: 1 });
    assert.equal(overlaysIn(ram.pid), 4);
    await guard.stop();
    await assertUntouched(ram.pid);
    const { records, tornTail } = readLedger(
      ledgerPath(ledger.path, { pid: ram.pid, startTime: readStat(ram.pid).startTime }),
    );
    assert.equal(tornTail, null);
    const steps = records.map(({ name }) => name).filter((name) => name !== "poison");
    assert.deepEqual(steps, [
      "attached",
      "warning",
      "ready",
      ...Array.from({ length: 4 }, () => ["intent", "recovered"]).flat(),
      "warning",
      "detached",
    ]);
  });

  for (const withoutPopulated of [false, true]) {
    it(`keeps what the process has advised${withoutPopulated ? ", without a spare" : ""}`, async () => {
      await using ram = await RamVictim.start(3);
      using ledger = new TemporaryFolder();
      assert.equal(await ram.victim.ask("advise"), "advise done");
      const before = vmFlags(ram.pid, ram.start);
      assert.ok(before.has("dc") && before.has("dd"));
      await using guard = await GuardProcess.start({
        pid: ram.pid,
        ledger: ledger.path,
        lost: [4096],
        withoutPopulated,
      });
      await ram.poison(1);
      assert.equal(await ram.touch(1), "ok");
      const after = vmFlags(ram.pid, ram.at(1));
      assert.equal(overlaysIn(ram.pid), 1);
      // A spare is private memory: nobody else maps the RAM, and children of the process do not get it.
      assert.equal(after.has("sh"), withoutPopulated);
      for (const flag of ["dc", "dd", "mg", "rd", "wr", "mr", "mw"]) {
        assert.equal(after.has(flag), before.has(flag), flag);
      }
      await guard.stop();
    });
  }

  it("is recovered for a thread that blocks SIGBUS, and the process keeps its handler", async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: [4096] });
    for (const page of [1, 2]) {
      await ram.poison(page);
      assert.equal(await ram.victim.ask(`blocked ${page} 0`), "blocked ok still-blocked");
      assert.equal(await ram.victim.ask("handler"), "handler caught");
    }
    assert.equal(await ram.touch(1, 4096), lost(ram.at(1, 4096)));
    await ram.checkAll({ 1: 1, 2: 1 });
    await guard.stop();
    assert.equal(await ram.victim.ask("handler"), "handler caught");
    await assertUntouched(ram.pid);
  });

  it("passes on an error that nobody has touched yet, unchanged", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    const unguarded = await ram.victim.ask("optional 1 4096");
    assert.equal(unguarded, `optional ${BUS_MCEERR_AO} ${hex(ram.at(1, 4096))} 21`);
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path });
    for (let round = 0; round < 20; round++) {
      assert.equal(await ram.victim.ask("optional 1 4096"), unguarded);
    }
    assert.equal(overlaysIn(ram.pid), 0);
    await ram.checkAll();
    await guard.stop();
  });

  it("stays lost where it is lost, whoever asks for huge pages", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({
      pid: ram.pid,
      ledger: ledger.path,
      lost: [LARGE_PAGE / 2],
    });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 0), "ok");
    await guard.waitFor("recovered");
    const descriptor = openProcess(ram.pid);
    // Joining the small pages would throw the marker away, and the lost page would read as zeros.
    assert.equal(collapseRange(descriptor, hva(ram.at(1))), errno.EINVAL);
    closeDescriptor(descriptor);
    assert.equal(await ram.touch(1, LARGE_PAGE / 2), lost(ram.at(1, LARGE_PAGE / 2)));
    await ram.check(1, 1);
    await guard.stop();
  });

  it("ends a process whose own thread needs what is lost and blocks SIGBUS, as it does without a guard", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: [4096] });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 0), "ok");
    ram.victim.child.write("blocked 1 4096");
    assert.deepEqual(await ram.victim.child.end(), { code: null, signal: "SIGBUS" });
    assert.deepEqual(await guard.child.end(), { code: 0, signal: null });
    const told = guard.all("warning").filter(({ code }) => code === "HM_LOST_PAGE_IN_QEMU");
    assert.equal(told.length, 1);
  });

  it("of 1 GiB is replaced too", async () => {
    const gigabyte = 2 ** 30;
    await using ram = await RamVictim.start(1, { pageSize: gigabyte });
    using ledger = new TemporaryFolder();
    const offsets = [0, 536870912, gigabyte - 4096];
    await using guard = await GuardProcess.start({
      pid: ram.pid,
      ledger: ledger.path,
      lost: offsets,
      fill: "eager",
    });
    await ram.poison(0);
    assert.equal(await ram.touch(0, 4096), "ok");
    const recovered = await guard.waitFor("recovered");
    assert.equal(recovered.salvagedBytes, gigabyte - 3 * 4096);
    for (const offset of offsets) assert.equal(await ram.touch(0, offset), lost(ram.at(0, offset)));
    await ram.check(0, 3);
    await guard.stop();
    assertNothingLeft(ram.pid);
  });
});
