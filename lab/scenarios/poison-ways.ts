import assert from "node:assert/strict";
import { expectAlive, expectFillReasons, expectLoss } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import { payloadFolder } from "../payload.js";
import type { Scenario } from "../scenario.js";
import { filledMib, filledPages, usualVictim, type VictimConfig } from "../victim-config.js";

const rebootMs = 120_000;

/** QEMU without privileges: the way that is the default needs none in it. */
export const poisonUffd: Scenario = {
  name: "poison-uffd",
  summary: "markers of a userfaultfd, QEMU as an ordinary user in its sandbox: three lost pages, each exact",
  victim: { ...usualVictim, id: "confined", confined: true } satisfies VictimConfig,
  async run(lab) {
    return lose(lab, ["--poison-with", "uffd"]);
  },
};

/** Poison in the overlay's own file; the SIGBUS this raises in the guard is survived. */
export const poisonHwpoison: Scenario = {
  name: "poison-hwpoison",
  summary:
    "madvise(MADV_HWPOISON) instead of markers: three lost pages, each exact, filled before it is put in place; after a reboot without a spare page nothing is lost",
  victim: usualVictim,
  async run(lab) {
    const said = await lose(lab, ["--poison-with", "hwpoison", "--fill", "lazy"]);
    await expectFillReasons(lab, [/^lost pages are marked by hwpoison$/]);
    const log = await lab.host.agent.must("dmesg");
    assert.match(log, /Injecting memory failure for pfn/, "the guard used MADV_HWPOISON");
    await survivesItsOwnPoison(lab);
    const qemu = await lab.victim.injected();
    assert.ok(qemu.ar >= 3, `QEMU told the guest of ${qemu.ar} accesses`);
    await lab.host.agent.must("echo 0 > /proc/sys/vm/nr_hugepages", 60_000);
    const rebooted = lab.victim.checker.watchReboot();
    await lab.victim.qmp.execute("system_reset");
    await rebooted(rebootMs);
    assert.equal(await lab.victim.checker.fill(filledMib), filledPages);
    const { ok, lost, corrupt } = await lab.victim.checker.check();
    assert.deepEqual({ ok, lost, corrupt }, { ok: filledPages, lost: 0, corrupt: 0 }, "after the reboot");
    await expectAlive(lab);
    return `${said}; after a reboot ${ok} intact`;
  },
};

/**
 * The kernel kills nobody over a page that was never written, as the guard's lost pages are. Over a written one it forces SIGBUS on the
 * process that poisons it; the same function must survive that too.
 */
async function survivesItsOwnPoison(lab: LabSession): Promise<void> {
  const program = [
    `import { poisonPages } from "${payloadFolder}/dist/src/linux/hwpoison.js";`,
    'import { openSync, readSync, writeSync } from "node:fs";',
    'const file = openSync("/dev/shm/poison", "w+");',
    "writeSync(file, Buffer.alloc(4096, 1));",
    "poisonPages(file, [0], 4096);",
    'try { readSync(file, Buffer.alloc(1), 0, 1, 0); } catch (error) { console.log("survived", error.code); }',
  ].join("\n");
  const said = await lab.host.agent.must(`node --input-type=module <<'END'\n${program}\nEND`, 60_000);
  assert.equal(said.trim(), "survived EIO", "a process that poisons a page it has written");
}

async function lose(lab: LabSession, extra: readonly string[]): Promise<string> {
  const guard = await lab.guard(extra);
  const [large] = await lab.victim.ownLargePages(1);
  const bad = [0, 256, 511].map((page) => (large?.gpa ?? 0) + page * 4096);
  await lab.victim.poison(bad);
  await guard.waitForCount("recovered", 1);
  const seen = await expectLoss(lab, guard, bad);
  assert.deepEqual(guard.all("refused"), []);
  return seen;
}
