/**
 * Large pages that are meant to be filled after they are replaced, and cannot be: they are filled before. Each reason is brought about for
 * real; the ledger says it, and what the process reads is right. (`--poison-with hwpoison` needs a kernel with memory failures: the lab's.)
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import type { Fill } from "../../src/ledger/events.js";
import { readOverlays } from "../../src/recovery/classify.js";
import { TAG_SIZE } from "../../src/recovery/spare-tag.js";
import { GuardProcess } from "../framework/guard-process.js";
import { intents } from "../framework/intents.js";
import { MemoryGroup } from "../framework/memory-group.js";
import { assertUntouched } from "../framework/process-state.js";
import { LARGE_PAGE, RamVictim, SMALL_PAGES } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";
import { acquire } from "../hugepages.js";
import type { DriverInput } from "./drivers/driver-options.js";

/** Offset of the 4 KiB of each bad large page that is lost. */
const LOST = 4096;
/** Less than what must stay free beside a replacement (recovery/plan.ts). */
const TOO_LITTLE = 48 * 1024 * 1024;
const PATIENCE_MS = 200;

/** A mount namespace of the guard's own in which nobody may open the device. It goes with the guard. */
const withoutDevice = [
  "unshare",
  ...["--mount", "sh", "-c"],
  'mount --bind /dev/null /dev/userfaultfd && mount -o remount,bind,nodev /dev/userfaultfd && exec "$@"',
  "sh",
] as const;

interface Expected {
  readonly fill: Fill;
  readonly why: RegExp;
}

/** Where the only spare lies that a guard has ready. */
function spareIn(pid: number): bigint {
  const [stray, ...others] = readOverlays(pid).stray;
  assert.ok(stray?.spare && others.length === 0, "one spare");
  return stray.start + BigInt(TAG_SIZE);
}

/**
 * A large page goes bad, and is touched.
 *
 * @param folder the ledger's
 * @throws AssertionError unless the guard recovers it, filled so, for this reason
 */
async function lose(
  ram: RamVictim,
  guard: GuardProcess,
  folder: string,
  page: number,
  { fill, why }: Expected,
): Promise<void> {
  const before = guard.all("recovered").length;
  const refused = guard.all("refused").length;
  const filled = guard.all("filled").length;
  await ram.poison(page);
  assert.equal(await ram.touch(page, 8192), "ok");
  const recovered = await guard.waitFor("recovered", before + 1);
  const intent = intents(ram.pid, folder).at(-1);
  assert.deepEqual([recovered.fill, intent?.fill], [fill, fill], intent?.why);
  assert.match(intent?.why ?? "", why);
  assert.equal(guard.all("refused").length, refused);
  if (fill === "lazy") await guard.waitFor("filled", filled + 1);
  await ram.check(page, 1);
}

async function leave(guard: GuardProcess, ram: RamVictim): Promise<void> {
  await guard.stop();
  await assertUntouched(ram.pid);
}

interface Case extends Expected {
  readonly what: string;
  /** Words for the victim, and what it is told before the guard comes. */
  readonly words?: readonly string[];
  readonly ask?: string;
  readonly policy?: Partial<DriverInput>;
  /** Whether the guard may not open /dev/userfaultfd. */
  readonly blind?: true;
}

const cases: readonly Case[] = [
  { what: "lazily", fill: "lazy", why: /^--fill is lazy$/ },
  { what: "before: --fill eager", fill: "eager", why: /^--fill is eager$/, policy: { fill: "eager" } },
  { what: "before: pages of 2 MiB are small", fill: "eager", why: /small enough/, policy: { fill: "auto" } },
  { what: "before: RAM is locked", fill: "eager", why: /is locked in memory/, words: ["locked"] },
  // They would get a copy of memory that is not shared, and zeros where it is not filled yet.
  { what: "before: children inherit RAM", fill: "eager", why: /no MADV_DONTFORK/, ask: "inherit" },
  { what: "lazily for an ordinary user", fill: "lazy", why: /^--fill is lazy$/, words: ["confined"] },
  {
    what: "before: an ordinary user, and no device",
    ...{ fill: "eager", why: /may not have a userfaultfd.*\/dev\/userfaultfd cannot be opened/ },
    words: ["confined"],
    blind: true,
  },
];

describe("a large page is filled", () => {
  for (const { what, words = [], ask, policy = {}, blind, ...expected } of cases) {
    it(what, async () => {
      await using ram = await RamVictim.start(2, { words });
      if (ask !== undefined) assert.equal(await ram.victim.ask(ask), `${ask} done`);
      using ledger = new TemporaryFolder();
      const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy", ...policy } as const;
      await using guard = await (blind === undefined
        ? GuardProcess.start(input)
        : GuardProcess.startInside(withoutDevice, input));
      assert.ok(existsSync("/dev/userfaultfd"));
      await lose(ram, guard, ledger.path, 1, expected);
      await ram.checkAll({ 1: 1 });
      await leave(guard, ram);
    });
  }

  it("before: the next spare is not ready so soon", async () => {
    await using ram = await RamVictim.start(4);
    assert.equal(await ram.victim.ask("block"), "block done");
    using ledger = new TemporaryFolder();
    // While the guard does not look, threads come to stand at both pages.
    const blockAt = { step: "stopped", ms: PATIENCE_MS };
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy", blockAt } as const;
    await using guard = await GuardProcess.start(input);
    for (const page of [1, 2]) await ram.poison(page);
    assert.equal(await ram.victim.ask("both 1 2"), "both ok still-blocked ok still-blocked");
    await guard.waitFor("recovered", 2);
    assert.deepEqual(
      guard.all("recovered").map(({ fill }) => fill),
      ["lazy", "eager"],
    );
    assert.match(intents(ram.pid, ledger.path).at(-1)?.why ?? "", /next spare region is not ready yet/);
    await guard.waitFor("filled");
    await waitUntil("the next spare is ready", () => readOverlays(ram.pid).stray.length === 1);
    await lose(ram, guard, ledger.path, 3, { fill: "lazy", why: /^--fill is lazy$/ });
    await ram.checkAll({ 1: 1, 2: 1, 3: 1 });
    await leave(guard, ram);
  });

  it("before: RAM that came after the guard", async () => {
    await using ram = await RamVictim.start(2);
    await using _more = await acquire(1, LARGE_PAGE);
    using ledger = new TemporaryFolder();
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" } as const;
    await using guard = await GuardProcess.start(input);
    assert.equal(await ram.victim.ask("plug 1"), "plug done");
    await lose(ram, guard, ledger.path, 1, { fill: "eager", why: /came after the guard/ });
    await ram.checkAll({ 1: 1 });
    await leave(guard, ram);
  });

  it("before: there is no room in the VM's control group, but in the guard's", async () => {
    await using group = new MemoryGroup(TOO_LITTLE);
    await using ram = await RamVictim.start(2);
    group.add(ram.pid);
    using ledger = new TemporaryFolder();
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" } as const;
    await using guard = await GuardProcess.start(input);
    await lose(ram, guard, ledger.path, 1, { fill: "eager", why: /control group has no room/ });
    await ram.checkAll({ 1: 1 });
    await leave(guard, ram);
  });

  for (const [fill, tried] of [
    ["lazy", ["lazy", "eager"]],
    ["eager", ["eager", "eager"]],
  ] as const) {
    it(`before, in new memory: the kernel does not move the spare (${fill})`, async () => {
      await using ram = await RamVictim.start(2);
      using ledger = new TemporaryFolder();
      const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill } as const;
      await using guard = await GuardProcess.start(input);
      assert.equal(await ram.victim.ask(`forbid ${spareIn(ram.pid)}`), "forbid done");
      await lose(ram, guard, ledger.path, 1, { fill: "eager", why: /mremap failed.*EACCES/ });
      assert.deepEqual(
        intents(ram.pid, ledger.path).map((one) => one.fill),
        tried,
      );
      await ram.checkAll({ 1: 1 });
      await leave(guard, ram);
    });
  }
});

describe("a large page is left alone", () => {
  it("while a userfaultfd of the process itself watches it", async () => {
    await using ram = await RamVictim.start(3);
    using ledger = new TemporaryFolder();
    const input = { pid: ram.pid, ledger: ledger.path, lost: [LOST], fill: "lazy" } as const;
    await using guard = await GuardProcess.start(input);
    await ram.poison(1);
    assert.equal(await ram.victim.ask("watch"), "watch done");
    assert.match(await ram.touch(1, 8192), /^lost/);
    const { code, message } = await guard.waitFor("refused");
    assert.equal(code, "HM_PLAN_USERFAULTFD");
    assert.match(message, /postcopy migration/);
    assert.deepEqual([guard.all("recovered"), intents(ram.pid, ledger.path)], [[], []]);
    await ram.checkAll({ 1: SMALL_PAGES });
    assert.equal(await ram.victim.ask("unwatch"), "unwatch done");
    await lose(ram, guard, ledger.path, 2, { fill: "lazy", why: /^--fill is lazy$/ });
    await leave(guard, ram);
  });
});
