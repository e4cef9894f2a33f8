import assert from "node:assert/strict";
import { expectGuestLost, expectRecovered } from "../expect.js";
import { sendPages } from "../guest-traffic.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { hex } from "../victim.js";
import { usualVictim, type VictimConfig } from "../victim-config.js";

const SIGBUS = 7n;
const badPage = 300;
/** What QEMU's threads touch: 16 pages, far from the bad one. */
const first = 8;
const count = 16;

/** detect-zeroes: the iothread itself looks at what the guest writes. No direct I/O: nothing has to be paused. */
export const iothreadVictim: VictimConfig = {
  ...usualVictim,
  id: "iothread",
  prepare: "truncate -s 64M /dev/shm/disk",
  extra:
    "-object iothread,id=io -drive if=none,id=disk,file=/dev/shm/disk,format=raw,cache=writeback,aio=threads,discard=unmap,detect-zeroes=unmap " +
    "-device virtio-blk-pci,drive=disk,iothread=io",
};

/** QEMU's main loop and an iothread block SIGBUS: at an error the kernel takes the handler away and unblocks the signal. */
export const handlerRestored: Scenario = {
  name: "handler-restored",
  summary:
    "QEMU's main loop and an iothread are the first to touch bad large pages: right bytes, handler and mask as before",
  victim: iothreadVictim,
  async run(lab) {
    const { victim, host } = lab;
    const pages = await victim.ownLargePages(2);
    const bad = pages.map(({ gpa }) => gpa + badPage * 4096);
    const [byMainLoop, byIothread] = pages;
    if (byMainLoop === undefined || byIothread === undefined) throw new TypeError("unreachable");
    // So that the iothread has been at work once before its signals are looked at.
    assert.equal(await sendPages(victim.checker, "/dev/vda", byMainLoop.index, 1), true);
    for (const [number, { gpa }] of pages.entries()) await save(lab, gpa, `/run/before${number}`);
    const before = await busSignals(lab);
    assert.equal(before.get(victim.pid), "caught, blocked", "SIGBUS in QEMU's main loop, before");
    // It must not know of the errors before QEMU's threads touch them.
    const guard = await lab.blindGuard();
    await victim.poison(bad);

    await save(lab, byMainLoop.gpa, "/run/after0");
    await host.agent.must("cmp /run/before0 /run/after0", 60_000);
    expectRecovered(await guard.waitForCount("recovered", 1), bad.slice(0, 1));
    expectSame(before, await busSignals(lab), "after the main loop's touch");

    const from = byIothread.index + first;
    assert.equal(await sendPages(victim.checker, "/dev/vda", from, count), true, "the guest's write");
    const recovered = await guard.waitForCount("recovered", 2);
    expectRecovered(recovered, bad);
    for (const event of recovered) assert.equal(event["quiesced"], false, "no direct I/O, so no pause");
    await host.agent.must(
      `dd if=/dev/shm/disk bs=4096 skip=${from} count=${count} of=/run/written && cmp /run/before1 /run/written`,
      60_000,
    );
    expectSame(before, await busSignals(lab), "after the iothread's touch");

    const seen = await expectGuestLost(lab, bad);
    return `${seen}; SIGBUS ${[...before.values()].sort().join("; ")}, before and after`;
  },
};

/** QEMU's main loop reads guest memory into a file. */
async function save(lab: LabSession, large: number, filename: string): Promise<void> {
  const val = large + first * 4096;
  await lab.victim.qmp.execute("pmemsave", { val, size: count * 4096, filename });
}

/** What each thread of QEMU does with SIGBUS. */
async function busSignals(lab: LabSession): Promise<Map<number, string>> {
  // An I/O worker may end between the listing and the look at it: too few threads left are told by expectSame.
  const text = await lab.host.agent.must(
    `grep -sHE "^Sig(Blk|Cgt)" /proc/${lab.victim.pid}/task/*/status || true`,
    60_000,
  );
  const found = new Map<number, string[]>();
  for (const [, tid, kind, mask] of text.matchAll(/task\/(\d+)\/status:Sig(Blk|Cgt):\s+([0-9a-f]+)/g)) {
    const has = (BigInt(`0x${mask}`) >> (SIGBUS - 1n)) & 1n;
    const word = kind === "Cgt" ? (has ? "caught" : "not caught") : has ? "blocked" : "not blocked";
    found.set(Number(tid), [word, ...(found.get(Number(tid)) ?? [])]);
  }
  return new Map([...found].map(([tid, words]) => [tid, words.join(", ")]));
}

/** Threads that came or went meanwhile (I/O workers) are left out. */
function expectSame(before: Map<number, string>, now: Map<number, string>, when: string): void {
  const kept = [...before].filter(([tid]) => now.has(tid));
  assert.ok(kept.length >= 3, "main loop, iothread and virtual CPU are there");
  assert.deepEqual(
    kept.map(([tid, words]) => `${hex(tid)} ${words}`),
    kept.map(([tid]) => `${hex(tid)} ${now.get(tid)}`),
    `SIGBUS in QEMU's threads ${when}`,
  );
}
