/** A victim with one replaced large page and a monitor that tells of resets: what tests of the large page's return begin with. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { ledgerPath } from "../../src/ledger/ledger-folder.js";
import { readLedger } from "../../src/ledger/ledger-reader.js";
import { type LedgerState, replayLedger } from "../../src/ledger/replay.js";
import { readMaps } from "../../src/linux/procfs/maps.js";
import { readStat } from "../../src/linux/procfs/stat.js";
import { readOverlays } from "../../src/recovery/classify.js";
import { acquire, type HeldHugepages } from "../hugepages.js";
import type { DriverInput } from "../integration/drivers/driver-options.js";
import { Child } from "./child.js";
import { driverPath } from "./driver-path.js";
import { GuardProcess } from "./guard-process.js";
import { ObligingMonitor } from "./obliging-monitor.js";
import { assertNothingLeft, untilMasksAre, untilUntraced } from "./process-state.js";
import { LARGE_PAGE, RamVictim } from "./ram-victim.js";
import { TemporaryFolder } from "./temporary-folder.js";
import { waitUntil } from "./wait-until.js";

const PAGES = 3;
/** The large page that goes bad, and the 4 KiB of it that is lost. */
export const BAD_PAGE = 1;
export const LOST = 4096;

/** See the head of the file. */
export class HealRig implements AsyncDisposable {
  readonly ram: RamVictim;
  readonly monitor: ObligingMonitor;
  readonly #folder: TemporaryFolder;
  /** What comes in the place of a bad large page: one that has gone bad never comes back to the pool. */
  readonly #free: HeldHugepages;

  private constructor(
    ram: RamVictim,
    monitor: ObligingMonitor,
    folder: TemporaryFolder,
    free: HeldHugepages,
  ) {
    this.ram = ram;
    this.monitor = monitor;
    this.#folder = folder;
    this.#free = free;
  }

  /** @param file for the victim's RAM, instead of a memfd */
  static async start(file?: string): Promise<HealRig> {
    const folder = new TemporaryFolder();
    const ram = await RamVictim.start(PAGES, file === undefined ? {} : { words: ["shared", file] });
    const path = join(folder.path, "qmp");
    const monitor = await ObligingMonitor.start(path, ram.start, PAGES * LARGE_PAGE);
    assert.equal(await ram.victim.ask("advise"), "advise done");
    return new HealRig(ram, monitor, folder, await acquire(2, LARGE_PAGE));
  }

  /** @param more what this guard does besides */
  guard(more: Partial<DriverInput> = {}): Promise<GuardProcess> {
    const ledger = join(this.#folder.path, "ledger");
    return GuardProcess.start({
      pid: this.ram.pid,
      qmp: this.monitor.path,
      ledger,
      lost: [LOST],
      ...more,
    });
  }

  /** Has a guard replace a large page. */
  async replace(guard: GuardProcess, page: number = BAD_PAGE): Promise<void> {
    const before = guard.all("recovered").length;
    await this.ram.poison(page);
    assert.equal(await this.ram.touch(page), "ok");
    await guard.waitFor("recovered", before + 1);
    await this.ram.check(page, 1);
  }

  /** What QEMU does at a reset, without telling anybody. */
  async renew(): Promise<void> {
    assert.equal(await this.ram.victim.ask(`punch ${BAD_PAGE}`), "punch done");
  }

  /** Has a guard replace a large page and end at a step of what comes with the reset. */
  async dieAfterReset(killAt: string, more: Partial<DriverInput> = {}): Promise<void> {
    await using guard = await this.guard({ ...more, killAt });
    await this.replace(guard);
    this.monitor.reset();
    await guard.diesAtStep();
    await this.afterDeath();
  }

  /** @throws AssertionError if a dead guard has left anything in the process but what is in its place, the tag of what was, and the next spare */
  async afterDeath(): Promise<void> {
    await untilUntraced(this.ram.pid);
    await untilMasksAre(this.ram.pid, () => 0n);
    assertNothingLeft(this.ram.pid, Math.min(readOverlays(this.ram.pid).stray.length, 2));
    assert.equal(this.#mapped(), BigInt(PAGES * LARGE_PAGE), "bytes of RAM, large and small");
    await this.ram.check(0);
    await this.ram.check(2);
  }

  /** Waits for so many warnings of the heir of a dead guard. @returns their codes, without the word of what that one had ready */
  async warnings(heir: GuardProcess, count: number): Promise<string[]> {
    const codes = (): string[] =>
      heir.all("warning").flatMap(({ code }) => (code === "HM_TAKEOVER_CLEANED" ? [] : [code]));
    await waitUntil(`${count} warnings`, () => codes().length >= count);
    return codes();
  }

  /** Bytes of all mappings of the RAM file and of overlays: a page that is mapped twice shows. */
  #mapped(): bigint {
    const mappings = readMaps(this.ram.pid);
    const own = mappings.find(({ start }) => start === this.ram.start);
    const large = mappings.filter(({ inode, device }) => inode === own?.inode && device === own.device);
    const small = readOverlays(this.ram.pid).placed.map(({ mapping }) => mapping);
    return [...large, ...small].reduce((sum, { start, end }) => sum + end - start, 0n);
  }

  /** Marks a small page of the replacement as lost, as an error in it would. */
  async loseSmallPage(offset: number): Promise<void> {
    const address = `0x${this.ram.at(BAD_PAGE, offset).toString(16)}`;
    const input = JSON.stringify({ pid: this.ram.pid, address, size: 4096 });
    await using driver = Child.start(process.execPath, [driverPath("poison-driver"), input]);
    assert.equal((await driver.end()).code, 0, driver.errors.all.join("\n"));
    assert.deepEqual(driver.output.all, ["poisoned"]);
  }

  /** The large page is back: what was lost holds zeros, everything else what it held. */
  async expectBack(lost: readonly number[] = [LOST]): Promise<void> {
    for (const offset of lost)
      assert.equal(await this.ram.victim.ask(`mend ${BAD_PAGE} ${offset}`), "mend zeros");
    await this.ram.checkAll();
  }

  /** Nobody has left the VM paused. */
  async untilRunning(): Promise<void> {
    await waitUntil("the VM runs", () => this.monitor.running);
  }

  /** What the ledger says now. */
  ledger(): LedgerState {
    const { pid } = this.ram;
    const path = ledgerPath(join(this.#folder.path, "ledger"), { pid, startTime: readStat(pid).startTime });
    return replayLedger(readLedger(path).records);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.monitor[Symbol.asyncDispose]();
    await this.ram[Symbol.asyncDispose]();
    await this.#free[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
