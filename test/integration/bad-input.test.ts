/** Bad input to the real command: one sentence, a code, exit code 2, and the process is as it was. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ledgerPath } from "../../src/ledger/ledger-folder.js";
import { readStat } from "../../src/linux/procfs/stat.js";
import { readTasks } from "../../src/linux/procfs/tasks.js";
import { compileVictim } from "../compile-victim.js";
import { Child } from "../framework/child.js";
import { COMMAND, GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { SilentSocket } from "../framework/silent-socket.js";
import { SmallFileSystem } from "../framework/small-file-system.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";
import { StockQemu } from "./qmp-stock-qemu.js";

let ram: RamVictim;
let ledger: TemporaryFolder;

before(async () => {
  ram = await RamVictim.start(2);
  ledger = new TemporaryFolder();
  await ram.victim.ask("hammer 2");
});

after(async () => {
  assert.equal((await ram.victim.counts("calm"))["corrupt"], 0);
  assert.equal((await ram.victim.counts("reads"))["lost"] ?? 0, 0);
  await ram[Symbol.asyncDispose]();
  ledger[Symbol.dispose]();
});

/** @returns the sentence @throws AssertionError unless the command ends with 2, one sentence and the code */
async function refuses(guard: GuardProcess, code: string | RegExp): Promise<string> {
  await using _guard = guard;
  const end = await guard.child.end();
  const lines = guard.child.errors.all;
  assert.deepEqual(end, { code: 2, signal: null }, lines.join("\n"));
  assert.equal(lines.length, 1, lines.join("\n"));
  const complaint: unknown = JSON.parse(lines[0] ?? "");
  assert.ok(typeof complaint === "object" && complaint !== null);
  assert.ok("event" in complaint && "code" in complaint && "message" in complaint);
  assert.equal(complaint.event, "error");
  if (typeof code === "string") assert.equal(complaint.code, code);
  else assert.match(String(complaint.code), code);
  const message = String(complaint.message);
  assert.match(message, /^\S.{20,}/);
  assert.doesNotMatch(message, /\n|undefined|\[object| {4}at /);
  assert.equal(guard.all("ready").length, 0);
  await assertUntouched(ram.pid);
  await ram.check(0);
  return message;
}

function guardOf(pid: number | string, ...words: readonly string[]): GuardProcess {
  return GuardProcess.command("--pid", String(pid), "--ledger", ledger.path, ...words);
}

describe("hugemend guard with a wrong --pid", () => {
  const wrong: readonly (readonly [what: string, pid: string])[] = [
    ["no number", "qemu"],
    ["zero", "0"],
    ["negative", "-1"],
    ["a fraction", "1.5"],
    ["hexadecimal", "0x10"],
    ["too large", "4194305"],
    ["far too large", "99999999999999999999"],
    ["empty", ""],
    ["a blank", " "],
  ];
  for (const [what, pid] of wrong) {
    it(`refuses ${what}`, async () => {
      const message = await refuses(guardOf(pid), "HM_CLI_PID");
      assert.ok(message.includes(JSON.stringify(pid)), message);
    });
  }
  it("refuses a process that does not exist", async () => {
    const message = await refuses(guardOf(4194304), "HM_NO_SUCH_PROCESS");
    assert.match(message, /There is no process 4194304 \(found .*, expected .*\)\. .*pgrep/);
  });
  it("refuses a process that has ended and was not waited for", async () => {
    // It ends when told, not before the shell, which would wait for it, has become `sleep`, which does not.
    const words = "exec 3<&0; read line <&3 & echo $!; exec sleep 60";
    await using parent = Child.start("/bin/sh", ["-c", words]);
    const zombie = Number(await parent.output.next());
    await waitUntil("the shell has become sleep", () => readStat(parent.pid).comm === "sleep");
    parent.closeInput();
    await waitUntil("the child has ended", () => readStat(zombie).state === "Z");
    const message = await refuses(guardOf(zombie), "HM_NO_SUCH_PROCESS");
    assert.match(message, /has ended/);
  });
  it("refuses a process that is not QEMU", async () => {
    const message = await refuses(guardOf(process.pid), "HM_GUARD_NOT_QEMU");
    assert.ok(message.includes(process.execPath), message);
  });
  it("refuses a kernel thread", async () => {
    const message = await refuses(guardOf(2), "HM_GUARD_NOT_QEMU");
    assert.match(message, /Process 2 is not QEMU \(found the kernel thread kthreadd, expected .*pgrep/);
  });
  it("refuses the first process, and says what it is", async () => {
    const message = await refuses(guardOf(1), /^HM_(GUARD_NOT_QEMU|PROC_DENIED|GUARD_EXEMPT)$/);
    assert.match(message, /^Process 1 .*found .*, expected .*pgrep/);
  });
  it("refuses a thread, and names its process", async () => {
    const thread = readTasks(ram.pid).find((tid) => tid !== ram.pid);
    assert.ok(thread);
    const message = await refuses(guardOf(thread), "HM_GUARD_THREAD");
    assert.ok(message.includes(String(ram.pid)), message);
  });
});

describe("hugemend guard with other wrong words", () => {
  for (const words of [[], ["--pid"], ["--pid", "1", "--nonsense"], ["--pid", "1", "--quiesce", "maybe"]]) {
    it(`refuses "${words.join(" ")}"`, async () => {
      await using child = Child.start(process.execPath, [COMMAND, "guard", ...words]);
      assert.deepEqual(await child.end(), { code: 2, signal: null });
      assert.match(child.errors.all.join("\n"), /^error: .*\n/);
      assert.doesNotMatch(child.errors.all.join("\n"), / {4}at /);
    });
  }
  for (const option of ["--ledger", "--qmp"]) {
    for (const path of ["", "  "]) {
      it(`refuses ${option} ${JSON.stringify(path)}`, async () => {
        const message = await refuses(guardOf(ram.pid, option, path), "HM_CLI_PATH");
        assert.ok(message.includes(option) && message.includes(JSON.stringify(path)), message);
      });
    }
  }
  it("says it to people in one line, without colours", async () => {
    await using child = Child.start(process.execPath, [COMMAND, "guard", "--pid", "qemu"]);
    assert.equal((await child.end()).code, 2);
    const complaint = child.errors.all.join("\n");
    assert.match(complaint, /^hugemend: HM_CLI_PID: .+$/);
    assert.ok(!complaint.includes("\u001b["), complaint);
  });
});

describe("hugemend guard on a process that is traced already", () => {
  it("by another guard", async () => {
    await using first = await GuardProcess.start({ pid: ram.pid, ledger: ledger.path });
    await using second = guardOf(ram.pid);
    assert.deepEqual(await second.child.end(), { code: 2, signal: null });
    const complaint = second.child.errors.all.join("\n");
    assert.match(complaint, /"code":"HM_GUARD_ALREADY_TRACED"/);
    assert.ok(complaint.includes(String(first.pid)), complaint);
    await ram.check(0);
    await first.stop();
    await assertUntouched(ram.pid);
  });
  it("by a debugger, at one thread of many", async () => {
    for (const tid of readTasks(ram.pid).slice(0, 2)) {
      await using tracer = Child.start(compileVictim("tracer"), [String(tid)]);
      assert.match(await tracer.output.next(), /^ready /);
      await using guard = guardOf(ram.pid);
      assert.deepEqual(await guard.child.end(), { code: 2, signal: null });
      const complaint = guard.child.errors.all.join("\n");
      assert.match(complaint, /"code":"HM_(GUARD|TRACEE)_ALREADY_TRACED"/);
      assert.ok(complaint.includes(String(tracer.pid)), complaint);
      tracer.closeInput();
      assert.equal((await tracer.end()).code, 0);
      await assertUntouched(ram.pid);
      await ram.check(0);
    }
  });
});

describe("hugemend guard without the rights", () => {
  it("to trace", async () => {
    const words = ["--pid", String(ram.pid), "--ledger", ledger.path];
    const wrapper = ["setpriv", "--bounding-set=-sys_ptrace"] as const;
    await refuses(GuardProcess.wrapped(wrapper, ...words), /^HM_(PROC_DENIED|TRACEE_PERMISSION)$/);
  });
  it("to open what is mapped", async () => {
    const words = ["--pid", String(ram.pid), "--ledger", ledger.path];
    const wrapper = ["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore"] as const;
    await refuses(GuardProcess.wrapped(wrapper, ...words), "HM_PROC_DENIED");
  });
});

describe("hugemend guard with a bad ledger", () => {
  const guardWith = (path: string): GuardProcess =>
    GuardProcess.command("--pid", String(ram.pid), "--ledger", path);

  it("refuses a full file system", async () => {
    using full = new SmallFileSystem("full");
    await refuses(guardWith(full.path), "HM_LEDGER_FULL");
  });
  it("refuses a read-only file system", async () => {
    using readOnly = new SmallFileSystem("read-only");
    await refuses(guardWith(readOnly.path), "HM_LEDGER_READ_ONLY");
    await refuses(guardWith(join(readOnly.path, "below")), "HM_LEDGER_READ_ONLY");
  });
  it("refuses a file in the folder's place", async () => {
    using folder = new TemporaryFolder();
    const file = join(folder.path, "file");
    writeFileSync(file, "");
    await refuses(guardWith(file), "HM_LEDGER_PATH");
  });
  it("refuses a damaged line in the middle, and names it", async () => {
    using folder = new TemporaryFolder();
    {
      await using guard = await GuardProcess.start({ pid: ram.pid, ledger: folder.path });
      await guard.stop();
    }
    const path = ledgerPath(folder.path, { pid: ram.pid, startTime: readStat(ram.pid).startTime });
    const lines = readFileSync(path, "utf8").split("\n");
    assert.ok(lines.length > 4, lines.join("\n"));
    lines[1] = (lines[1] ?? "").replace("HM_QMP_NONE", "HM_QMP_SOME");
    writeFileSync(path, lines.join("\n"));
    const damaged = readFileSync(path);
    const message = await refuses(guardWith(folder.path), "HM_LEDGER_CORRUPT");
    assert.match(message, /^Line 2 of the ledger /);
    assert.deepEqual(readFileSync(path), damaged, "evidence is left as it is");
  });
  it("refuses a pipe, and says so", async () => {
    using folder = new TemporaryFolder();
    const path = ledgerPath(folder.path, { pid: ram.pid, startTime: readStat(ram.pid).startTime });
    execFileSync("mkfifo", [path]);
    const message = await refuses(guardWith(folder.path), "HM_LEDGER_UNSAFE");
    assert.match(message, /found a pipe/);
  });
  it("refuses an end that is longer than any record, and leaves it", async () => {
    using folder = new TemporaryFolder();
    const path = ledgerPath(folder.path, { pid: ram.pid, startTime: readStat(ram.pid).startTime });
    writeFileSync(path, "", { mode: 0o600 });
    truncateSync(path, 400 * 2 ** 20);
    const message = await refuses(guardWith(folder.path), "HM_LEDGER_CORRUPT");
    assert.match(message, /^Line 1 .*419430400 bytes without an end/);
    assert.equal(statSync(path).size, 400 * 2 ** 20);
  });
  it("goes on from a torn last line, and tells how much it cut off", async () => {
    using folder = new TemporaryFolder();
    {
      await using guard = await GuardProcess.start({ pid: ram.pid, ledger: folder.path });
      await guard.murder();
    }
    const path = ledgerPath(folder.path, { pid: ram.pid, startTime: readStat(ram.pid).startTime });
    writeFileSync(path, '{"crc":"00', { flag: "a" });
    await using guard = await GuardProcess.start({ pid: ram.pid, ledger: folder.path });
    const torn = guard.all("warning").filter(({ code }) => code === "HM_LEDGER_TORN");
    assert.match(torn.map(({ message }) => message).join("\n"), /^[^\n]*: 10 bytes were cut off[^\n]*$/);
    await guard.stop();
    await assertUntouched(ram.pid);
  });
});

describe("hugemend guard with a bad QMP socket", () => {
  it("refuses one that does not exist", async () => {
    await refuses(guardOf(ram.pid, "--qmp", join(ledger.path, "none")), "HM_QMP_SOCKET_MISSING");
  });
  it("refuses a file that is no socket", async () => {
    const file = join(ledger.path, "plain");
    writeFileSync(file, "");
    await refuses(guardOf(ram.pid, "--qmp", file), "HM_QMP_NOT_A_SOCKET");
  });
  it("refuses one that speaks something else", async () => {
    await using socket = await SilentSocket.listen("220 mail.example ESMTP\r\n");
    await refuses(guardOf(ram.pid, "--qmp", socket.path), /^HM_QMP_/);
  });
  it("refuses one that never answers", async () => {
    await using socket = await SilentSocket.listen();
    const message = await refuses(guardOf(ram.pid, "--qmp", socket.path), "HM_QMP_STALLED");
    assert.match(message, /another client|only one/i);
  });
  it("refuses the socket of another VM", async () => {
    await using other = await StockQemu.start();
    const message = await refuses(guardOf(ram.pid, "--qmp", other.socket()), "HM_GUARD_OTHER_VM");
    assert.ok(message.includes(String(ram.pid)), message);
  });
});
