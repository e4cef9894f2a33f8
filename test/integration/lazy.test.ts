/** A large page that is replaced first and filled afterwards: nobody ever reads a hole, and at the end nothing is left of how it was done. */

import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardProcess } from "../framework/guard-process.js";
import { withHugePages } from "../framework/huge-pages.js";
import { assertUntouched, overlaysIn } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { Resources } from "../framework/resources.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

/** Large page 1 is replaced, and of its small pages only that at 64 KiB is filled. */
async function onlyTouched(): Promise<AsyncDisposable & { ram: RamVictim; guard: GuardProcess }> {
  await using resources = new Resources();
  const ram = resources.use(await RamVictim.start(2));
  const ledger = resources.use(new TemporaryFolder()).path;
  const input = { pid: ram.pid, ledger, lost: [4096], fill: "lazy", fillRate: 0 } as const;
  const guard = resources.use(await GuardProcess.start(input));
  await ram.poison(1);
  assert.equal(await ram.touch(1, 65536), "ok");
  const held = resources.move();
  return { ram, guard, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() };
}

describe("a large page that is filled lazily", () => {
  for (const offsets of [
    [0],
    [LARGE_PAGE / 2],
    [LARGE_PAGE - 4096],
    [0, 409600, 413696, LARGE_PAGE - 4096],
  ]) {
    it(`loses what is lost at ${offsets.join(", ")}, and nothing else`, async () => {
      await using ram = await RamVictim.start(3);
      using ledger = new TemporaryFolder();
      await using guard = await GuardProcess.start({
        pid: ram.pid,
        ledger: ledger.path,
        lost: offsets,
        fill: "lazy",
      });
      await ram.poison(1);
      assert.equal(await ram.touch(1, 8192), "ok");
      const recovered = await guard.waitFor("recovered");
      assert.equal(recovered.fill, "lazy");
      const filled = await guard.waitFor("filled");
      assert.equal(filled.salvagedBytes, LARGE_PAGE - offsets.length * 4096);
      assert.equal(
        filled.lost.reduce((sum, { bytes }) => sum + bytes, 0),
        offsets.length * 4096,
      );
      await ram.checkAll({ 1: offsets.length });
      assert.equal(overlaysIn(ram.pid), 1);
      await guard.stop();
      await ram.checkAll({ 1: offsets.length });
      await assertUntouched(ram.pid);
    });
  }

  it("never shows a wrong byte to threads that hammer it, in three million reads", async (test) => {
    const pages = 24;
    await using ram = await RamVictim.start(pages);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({
      pid: ram.pid,
      ledger: ledger.path,
      lost: [4096],
      fill: "lazy",
    });
    await ram.victim.ask("hammer 4");
    const reads = async (): Promise<number> => (await ram.victim.counts("reads"))["reads"] ?? 0;
    for (let page = 0; page < pages; page++) {
      await ram.poison(page);
      await guard.waitFor("filled", page + 1);
      const share = (3_000_000 / pages) * (page + 1);
      while ((await reads()) < share) await sleep(5);
    }
    const soFar = await reads();
    const { corrupt } = await ram.victim.counts("calm");
    test.diagnostic(`${soFar} reads during ${pages} replacements`);
    assert.equal(corrupt, 0);
    assert.deepEqual(guard.all("refused"), []);
    assert.ok(guard.all("recovered").every(({ fill }) => fill === "lazy"));
    await guard.stop();
    await assertUntouched(ram.pid);
  });

  it("is filled to the end by a guard that is told to leave", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    await using guard = await GuardProcess.start({
      pid: ram.pid,
      ledger: ledger.path,
      lost: [4096],
      fill: "lazy",
      fillRate: 0,
    });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 8192), "ok");
    assert.deepEqual(guard.all("filled"), []);
    await guard.stop();
    assert.equal(guard.all("filled").length, 1);
    await ram.check(1, 1);
  });

  it("of which only what is touched is filled stays so, whether or not a monitor tells of resets", async () => {
    await using setting = await onlyTouched();
    const { ram, guard } = setting;
    // Longer than it takes a guard without a monitor to look for resets.
    await sleep(2500);
    assert.deepEqual(guard.all("filled"), []);
    await guard.stop();
    await ram.check(1, 1);
  });

  it("whose guard stood still while the region moved is served all the same", async () => {
    await using ram = await RamVictim.start(2);
    using ledger = new TemporaryFolder();
    const input = { pid: ram.pid, ledger: ledger.path, lost: [4096], fill: "lazy" } as const;
    await using guard = await GuardProcess.start({ ...input, blockAt: { step: "moving", ms: 6000 } });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 1_048_576), "ok");
    await guard.waitFor("filled");
    await ram.check(1, 1);
    await guard.stop();
  });

  it("whose file cannot be read any more: what is touched then is lost, and nobody waits for ever", async () => {
    await using setting = await onlyTouched();
    const { ram, guard } = setting;
    truncateSync(`/proc/${ram.pid}/fd/3`, ram.pageSize);
    assert.match(await ram.touch(1, 1_048_576), /^lost/);
    await guard.murder();
  });

  it("is joined to large pages again unless the host says never", async () => {
    for (const [choice, ranges] of [
      ["never", 0],
      ["madvise", 1],
    ] as const) {
      await withHugePages(choice, async () => {
        await using ram = await RamVictim.start(2);
        using ledger = new TemporaryFolder();
        const input = { pid: ram.pid, ledger: ledger.path, lost: [], fill: "lazy" } as const;
        await using guard = await GuardProcess.start(input);
        await ram.poison(1);
        assert.equal(await ram.touch(1, 65536), "ok");
        assert.deepEqual((await guard.waitFor("filled")).large.ranges, ranges, choice);
        await ram.checkAll();
        await guard.stop();
      });
    }
  });

  it("that has lost a part of its mapping is filled none the less", async () => {
    await using setting = await onlyTouched();
    const { ram, guard } = setting;
    assert.equal(await ram.victim.ask("hole 1 12288"), "hole done");
    for (const offset of [16384, 1048576]) assert.equal(await ram.touch(1, offset), "ok");
    await guard.stop();
    for (let offset = 0; offset < ram.pageSize; offset += 4096) {
      const wanted = offset === 4096 ? /^lost/ : /^ok$/;
      if (offset !== 12288) assert.match(await ram.touch(1, offset), wanted, `at ${offset}`);
    }
  });

  it("of 1 GiB is one large mapping again, but for what is lost", async () => {
    const gigabyte = 2 ** 30;
    await using ram = await RamVictim.start(1, { pageSize: gigabyte });
    using ledger = new TemporaryFolder();
    const offsets = [0, 536870912, gigabyte - 4096];
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path, lost: offsets });
    await ram.poison(0);
    assert.equal(await ram.touch(0, 4096), "ok");
    assert.equal((await guard.waitFor("recovered")).fill, "lazy");
    const { large, salvagedBytes } = await guard.waitFor("filled");
    assert.equal(salvagedBytes, gigabyte - 3 * 4096);
    assert.equal(large.ranges, 509);
    // The kernel may lack a free page of 2 MiB here and there.
    assert.ok(large.collapsed > 450, `${large.collapsed} of 509 ranges are large again`);
    await ram.check(0, 3);
    await guard.stop();
    await assertUntouched(ram.pid);
  });
});
