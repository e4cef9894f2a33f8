/** A VM whose control group has no room for a whole replacement. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardProcess } from "../framework/guard-process.js";
import { MemoryGroup } from "../framework/memory-group.js";
import { assertUntouched, untilUntraced } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const MEGABYTE = 1024 * 1024;
/** Less than what must stay free beside a replacement (recovery/plan.ts). */
const TOO_LITTLE = 48 * MEGABYTE;

describe("a VM whose memory is limited", () => {
  it("has only filled what is touched, and the rest when there is memory again", async () => {
    await using group = new MemoryGroup(TOO_LITTLE);
    await using ram = await RamVictim.start(2);
    group.add(ram.pid);
    using ledger = new TemporaryFolder();
    const policy = { fill: "lazy", whenShort: "touched" } as const;
    await using guard = await GuardProcess.start({
      pid: ram.pid,
      ledger: ledger.path,
      lost: [4096],
      ...policy,
    });
    await ram.poison(1);
    assert.equal(await ram.touch(1, 65536), "ok");
    assert.equal((await guard.waitFor("recovered")).fill, "lazy");
    guard.child.kill("SIGTERM");
    await sleep(1500);
    // A guard that is told to leave stays while somebody may need it, rather than have the VM ended.
    assert.ok(guard.child.alive);
    assert.deepEqual(guard.all("filled"), []);
    assert.ok(guard.all("warning").some(({ message }) => message.includes("Memory is short")));
    assert.equal(await ram.touch(1, 1_048_576), "ok");
    group.limit(1024 * MEGABYTE);
    assert.equal((await guard.child.end()).code, 0);
    assert.equal(guard.all("filled").length, 1);
    await ram.check(1, 1);
    await assertUntouched(ram.pid);
  });

  it("and whose guard died, is served by one that cannot start: it ends when for a while nobody asks, and says what it leaves", async () => {
    await using group = new MemoryGroup(TOO_LITTLE);
    await using ram = await RamVictim.start(2);
    group.add(ram.pid);
    using ledger = new TemporaryFolder();
    const input = {
      pid: ram.pid,
      ledger: ledger.path,
      lost: [4096],
      fill: "lazy",
      whenShort: "touched",
    } as const;
    {
      await using guard = await GuardProcess.start(input);
      await ram.poison(1);
      assert.equal(await ram.touch(1, 65536), "ok");
      await guard.waitFor("recovered");
      await guard.murder();
    }
    await untilUntraced(ram.pid);
    await using useless = GuardProcess.launch({ ...input, ledger: "/proc/version", fillPatienceMs: 1000 });
    for (const offset of [131_072, 1_048_576]) assert.equal(await ram.touch(1, offset), "ok");
    assert.notEqual((await useless.child.end()).code, 0);
    assert.deepEqual(
      useless.all("warning").map(({ code, message }) => [code, message.includes("could not be filled")]),
      [["HM_FILL", true]],
    );
    await using heir = await GuardProcess.start(input);
    assert.equal(await ram.touch(1, 524_288), "ok");
    // As the dead one had decided: there is no room for a whole replacement.
    await sleep(500);
    assert.deepEqual(heir.all("filled"), []);
    group.limit(1024 * MEGABYTE);
    await heir.stop();
    assert.equal(heir.all("filled").length, 1);
    await ram.check(1, 1);
    await assertUntouched(ram.pid);
  });
});
