/** Recoveries of a stock QEMU that tells its guest addresses, and a pause that a dead guard has left. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LEDGER_FORMAT } from "../../src/ledger/internal-events.js";
import { openLedger } from "../../src/ledger/open-ledger.js";
import { readStat } from "../../src/linux/procfs/stat.js";
import { QmpCommands } from "../../src/qemu/qmp-commands.js";
import type { QmpConnection } from "../../src/qemu/qmp-connection.js";
import { readRamLayout } from "../../src/qemu/ram-blocks.js";
import { Child } from "../framework/child.js";
import { driverPath } from "../framework/driver-path.js";
import { GuardProcess } from "../framework/guard-process.js";
import { assertNothingLeft, overlaysIn, untilUntraced } from "../framework/process-state.js";
import { LARGE_PAGE } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { PATIENCE_MS } from "../framework/wait-until.js";
import { acquire } from "../hugepages.js";
import { StockQemu } from "./qmp-stock-qemu.js";

const MEBIBYTES = 64;
const args = [
  ...["-machine", "q35,memory-backend=ram0", "-m", `${MEBIBYTES}M`],
  "-object",
  `memory-backend-memfd,id=ram0,size=${MEBIBYTES}M,hugetlb=on,hugetlbsize=2M,share=on,prealloc=on`,
];
/** In the first large page, where the firmware keeps its clock, but nowhere near what it uses. */
const LOST = 0x1f0000;
/** The BIOS data area's count of timer ticks, 18 a second. */
const TICKS = 0x46c;

/** An emulated VM whose firmware ticks, with its first large page poisoned while the operator had it paused. */
class PoisonedVm implements AsyncDisposable {
  readonly qemu: StockQemu;
  readonly operator: QmpConnection;
  readonly commands: QmpCommands;
  readonly pid: number;

  private constructor(qemu: StockQemu, operator: QmpConnection, pid: number) {
    this.qemu = qemu;
    this.operator = operator;
    this.commands = new QmpCommands(operator);
    this.pid = pid;
  }

  static async start(): Promise<PoisonedVm> {
    const qemu = await StockQemu.start({ args });
    const { pid } = qemu.child;
    assert.ok(pid);
    const vm = new PoisonedVm(qemu, await qemu.operator(), pid);
    await vm.untilTicking();
    await vm.commands.stop();
    const { sections } = await readRamLayout(vm.commands);
    const low = sections.find((section) => section.gpa === 0n);
    assert.ok(low);
    const input = { pid, address: `0x${low.hva.toString(16)}`, size: LARGE_PAGE };
    await using driver = Child.start(process.execPath, [driverPath("poison-driver"), JSON.stringify(input)]);
    assert.equal((await driver.end()).code, 0, driver.errors.all.join("\n"));
    assert.deepEqual(driver.output.all, ["poisoned"]);
    return vm;
  }

  async ticks(): Promise<number> {
    const answer = await this.commands.humanMonitor(`xp /1wx ${TICKS}`);
    return Number(/: (0x[0-9a-f]+)/.exec(answer)?.[1]);
  }

  /** The guest runs: its clock goes on. */
  async untilTicking(): Promise<void> {
    const first = await this.ticks();
    const deadline = performance.now() + PATIENCE_MS;
    while ((await this.ticks()) === first) {
      assert.ok(performance.now() < deadline, "the guest's clock stands still");
      await sleep(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.operator.close();
    await this.qemu[Symbol.asyncDispose]();
  }
}

/** What a guard writes before it pauses the VM, and never ends: it was killed right then. */
function leavePaused(ledger: string, pid: number): void {
  const { startTime } = readStat(pid);
  const writer = openLedger(ledger, { pid, startTime });
  writer.append({
    ...{ event: "attached", format: LEDGER_FORMAT, pid, guardPid: process.pid, version: "0.0.0" },
    startTime: startTime.toString(),
    bootId: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
  });
  writer.append({ event: "pausing", status: "running" });
  writer.close();
}

/** Emulated processors cannot be parked in the middle of an access, so these VMs are never asked to pause: see the lab. */
describe("a stock QEMU with a poisoned page", () => {
  it("is recovered, with guest addresses told", async () => {
    await using _pages = await acquire(MEBIBYTES / 2);
    await using vm = await PoisonedVm.start();
    using ledger = new TemporaryFolder();
    const input = { pid: vm.pid, ledger: ledger.path, qmp: vm.qemu.socket(), lost: [LOST] };
    await using guard = await GuardProcess.start({ ...input, quiesce: "never" });
    assert.equal(guard.all("ready")[0]?.ram[0]?.id, "ram0");
    // The operator's pause is the operator's.
    assert.deepEqual(await vm.commands.queryStatus(), { running: false, status: "paused" });
    await vm.commands.cont();
    const recovered = await guard.waitFor("recovered");
    assert.equal(recovered.gpa, "0x0");
    assert.deepEqual(recovered.lost, [{ gpa: "0x1f0000", bytes: 4096 }]);
    await vm.untilTicking();
    assert.equal(overlaysIn(vm.pid), 1);
    await guard.stop();
    await untilUntraced(vm.pid);
    assertNothingLeft(vm.pid);
    await vm.untilTicking();
  });

  it("is resumed when a dead guard has left it paused, and not before it is guarded again", async () => {
    await using _pages = await acquire(MEBIBYTES / 2);
    await using vm = await PoisonedVm.start();
    using ledger = new TemporaryFolder();
    leavePaused(ledger.path, vm.pid);
    const input = { pid: vm.pid, ledger: ledger.path, qmp: vm.qemu.socket(), lost: [LOST] };
    await using heir = await GuardProcess.start({ ...input, quiesce: "never" });
    // It runs into the poison at once: unguarded, that would have been its end.
    assert.equal((await heir.waitFor("recovered")).gpa, "0x0");
    await vm.untilTicking();
    assert.deepEqual(await vm.commands.queryStatus(), { running: true, status: "running" });
    await heir.stop();
    await vm.untilTicking();
  });
});
