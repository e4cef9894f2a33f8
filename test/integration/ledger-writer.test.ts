import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readLedger } from "../../src/ledger/ledger-reader.js";
import { openLedger } from "../../src/ledger/open-ledger.js";
import { Child } from "../framework/child.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

const ID = { pid: 4242, startTime: "1234567" };
const WARNING = { event: "warning", code: "HM_TEST", message: "x" } as const;
const MODULE = new URL("../../src/ledger/open-ledger.js", import.meta.url).href;
const NATIVE = new URL("../../src/linux/native.js", import.meta.url).href;

/**
 * Debian's Node refuses process.setuid and its like, for io_uring would keep the old rights. The system calls themselves
 * change one thread, which is the one that opens the ledger. Numbers: arch/x86/entry/syscalls/syscall_64.tbl.
 */
const BECOME_NOBODY = `
    const { rawSystemCall } = await import(${JSON.stringify(NATIVE)});
    // SAFETY: this process is the test's own, and gives up rights.
    const calls = { setgroups: [116, 0, 0], setresgid: [119, 65534, 65534, 65534], setresuid: [117, 65534, 65534, 65534] };
    for (const [name, words] of Object.entries(calls)) {
      const { errno } = rawSystemCall(...words);
      if (errno !== 0) throw new Error(name + " failed with errno " + errno);
    }`;

/** A process that does `first`, opens the ledger and then does `more`. */
function other(dir: string, more: string, first = ""): Child {
  const code = `
    import { openLedger } from ${JSON.stringify(MODULE)};
    ${first}
    try {
      const ledger = openLedger(${JSON.stringify(dir)}, ${JSON.stringify(ID)});
      ${more}
    } catch (error) {
      console.log(error.code);
    }`;
  return Child.start(process.execPath, ["--input-type=module", "-e", code]);
}

/** A small file system of its own, gone with its scope. */
class Mount implements Disposable {
  readonly path: string;

  constructor(dir: string, options: string) {
    this.path = join(dir, "mount");
    mkdirSync(this.path);
    // SAFETY: a new, empty file system in a folder of ours; dying here leaves one mount in a temporary folder.
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "hugemend-test", this.path]);
  }

  [Symbol.dispose](): void {
    execFileSync("umount", [this.path]);
  }
}

test("folder and file are private, and what is appended is read", () => {
  using folder = new TemporaryFolder();
  const dir = join(folder.path, "a", "b");
  using ledger = openLedger(dir, ID);
  assert.equal(ledger.path, join(dir, "4242-1234567.jsonl"));
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  assert.equal(statSync(ledger.path).mode & 0o777, 0o600);
  assert.deepEqual([ledger.append(WARNING), ledger.append(WARNING)], [1, 2]);
  assert.deepEqual(
    readLedger(ledger.path).records.map((r) => r.event),
    [WARNING, WARNING],
  );
});

test("the next guard reads, repairs a torn tail and goes on", () => {
  using folder = new TemporaryFolder();
  const first = openLedger(folder.path, ID);
  first.append(WARNING);
  first.close();
  first.close();
  assert.throws(() => first.append(WARNING), { code: "HM_LEDGER_CLOSED" });
  appendFileSync(first.path, '{"crc":"00000000","seq":2,"ti');
  using second = openLedger(folder.path, ID);
  assert.deepEqual(
    second.history.map((r) => r.seq),
    [1],
  );
  assert.equal(second.tornTail?.bytes, 29);
  assert.equal(second.append(WARNING), 2);
  assert.deepEqual(readLedger(second.path).tornTail, null);
  assert.equal(readLedger(second.path).records.length, 2);
});

test("a damaged ledger is refused with its line and left as it is", () => {
  using folder = new TemporaryFolder();
  const first = openLedger(folder.path, ID);
  for (let i = 0; i < 3; i++) first.append(WARNING);
  first.close();
  const damaged = readFileSync(first.path, "utf8").replace('"seq":2', '"seq":7');
  writeFileSync(first.path, damaged);
  assert.throws(() => openLedger(folder.path, ID), { code: "HM_LEDGER_CORRUPT", message: /^Line 2 / });
  assert.equal(readFileSync(first.path, "utf8"), damaged);
  assert.deepEqual(readdirSync(folder.path), ["4242-1234567.jsonl"], "no lock is left");
});

test("one writer: in this process, in another, and none after kill -9", async () => {
  using folder = new TemporaryFolder();
  {
    using held = openLedger(folder.path, ID);
    assert.throws(() => openLedger(folder.path, ID), { code: "HM_LEDGER_LOCKED" });
    await using second = other(folder.path, "console.log('open')");
    assert.equal(await second.output.next(), "HM_LEDGER_LOCKED");
    held.append(WARNING);
  }
  await using killed = other(folder.path, "console.log('open'); setInterval(() => {}, 1000);");
  assert.equal(await killed.output.next(), "open");
  assert.throws(() => openLedger(folder.path, ID), {
    code: "HM_LEDGER_LOCKED",
    present: `process ${killed.pid}`,
  });
  killed.kill("SIGKILL");
  await killed.end();
  using next = openLedger(folder.path, ID);
  assert.equal(next.append(WARNING), 2);
  assert.equal(readdirSync(folder.path).length, 2, "the dead one's lock is gone");
});

test("of many that open it at the same time at most one wins", async () => {
  using folder = new TemporaryFolder();
  const others = Array.from({ length: 4 }, () =>
    other(
      folder.path,
      "console.log('open'); process.stdin.resume(); process.stdin.on('end', () => process.exit());",
    ),
  );
  const said = await Promise.all(others.map((child) => child.output.next()));
  assert.ok(said.filter((word) => word === "open").length <= 1, said.join());
  assert.ok(
    said.every((word) => word === "open" || word === "HM_LEDGER_LOCKED"),
    said.join(),
  );
  for (const child of others) await child[Symbol.asyncDispose]();
});

test("killed while it writes: whole records and at most a torn tail", async () => {
  using folder = new TemporaryFolder();
  for (let round = 0; round < 5; round++) {
    await using writer = other(
      folder.path,
      "console.log('open'); for (;;) ledger.append({ event: 'warning', code: 'X', message: 'y'.repeat(3000) });",
    );
    assert.equal(await writer.output.next(), "open");
    await new Promise((resolve) => setTimeout(resolve, 30));
    writer.kill("SIGKILL");
    await writer.end();
    const { records } = readLedger(join(folder.path, "4242-1234567.jsonl"));
    using next = openLedger(folder.path, ID);
    assert.equal(next.history.length, records.length);
  }
});

test("a full disk: no torn line, and it goes on when there is room again", () => {
  using folder = new TemporaryFolder();
  using mount = new Mount(folder.path, "size=64k");
  using ledger = openLedger(mount.path, ID);
  const big = { event: "warning", code: "HM_TEST", message: "x".repeat(3000) } as const;
  const ballast = join(mount.path, "ballast");
  writeFileSync(ballast, Buffer.alloc(30_000));
  let written = 0;
  assert.throws(
    () => {
      for (; written < 1000; written++) ledger.append(big);
    },
    { code: "HM_LEDGER_FULL", message: /its file system is full.*Free some space/ },
  );
  assert.ok(written > 2);
  assert.equal(readLedger(ledger.path).tornTail, null);
  assert.equal(readLedger(ledger.path).records.length, written);
  assert.throws(() => ledger.append(big), { code: "HM_LEDGER_FULL" });
  writeFileSync(ballast, "");
  assert.equal(ledger.append(big), written + 1);
  assert.equal(readLedger(ledger.path).records.length, written + 1);
});

test("a full disk at the start, a read-only one, and one without inodes", () => {
  using folder = new TemporaryFolder();
  using mount = new Mount(folder.path, "size=16k,nr_inodes=4");
  writeFileSync(join(mount.path, "ballast"), Buffer.alloc(16_384));
  using ledger = openLedger(mount.path, ID);
  assert.throws(() => ledger.append(WARNING), { code: "HM_LEDGER_FULL" });
  assert.throws(() => openLedger(mount.path, { pid: 1, startTime: 1 }), { code: "HM_LEDGER_FULL" });
  ledger.close();
  execFileSync("mount", ["-o", "remount,ro", mount.path]);
  assert.throws(() => openLedger(mount.path, ID), { code: "HM_LEDGER_READ_ONLY", message: /read-only/ });
  assert.throws(() => openLedger(join(mount.path, "x", "y"), ID), { code: "HM_LEDGER_READ_ONLY" });
});

test("no permission", async () => {
  using folder = new TemporaryFolder();
  const dir = join(folder.path, "closed");
  mkdirSync(dir, { mode: 0o700 });
  chmodSync(folder.path, 0o755);
  // It becomes nobody only when all is loaded: nobody may not be able to read the folder this package lies in.
  await using nobody = other(dir, "console.log('open')", BECOME_NOBODY);
  assert.equal(await nobody.output.next(), "HM_LEDGER_DENIED");
});

test("a ledger that is a link, shared, writable by others, a pipe or a folder is not used", () => {
  const name = "4242-1234567.jsonl";
  const refuse = (prepare: (path: string, dir: string) => void, code: string): void => {
    using folder = new TemporaryFolder();
    prepare(join(folder.path, name), folder.path);
    assert.throws(() => openLedger(folder.path, ID), { code, name: "LedgerError" });
  };
  refuse((path, dir) => symlinkSync(join(dir, "elsewhere"), path), "HM_LEDGER_UNSAFE");
  refuse((path, dir) => {
    writeFileSync(path, "", { mode: 0o600 });
    linkSync(path, join(dir, "second"));
  }, "HM_LEDGER_UNSAFE");
  refuse((path) => {
    writeFileSync(path, "");
    chmodSync(path, 0o666);
  }, "HM_LEDGER_UNSAFE");
  refuse((path) => execFileSync("mkfifo", [path]), "HM_LEDGER_UNSAFE");
  refuse((path) => mkdirSync(path), "HM_LEDGER_PATH");
  using folder = new TemporaryFolder();
  writeFileSync(join(folder.path, "file"), "");
  assert.throws(() => openLedger(join(folder.path, "file"), ID), { code: "HM_LEDGER_PATH" });
  assert.throws(() => readLedger(join(folder.path, "none")), { code: "HM_LEDGER_MISSING" });
});
