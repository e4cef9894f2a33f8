import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readlinkSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Finding, Severity } from "../../src/guard/doctor/finding.js";
import { readHardwareCorrupted } from "../../src/linux/procfs/hugepages.js";
import { readRelease, salvageSupport } from "../../src/linux/procfs/kernel-version.js";
import { readStatus } from "../../src/linux/procfs/status.js";
import { readProcesses, readTasks } from "../../src/linux/procfs/tasks.js";
import { acquire } from "../hugepages.js";
import { startHolder } from "../hugetlb-holder.js";

const PROGRAM = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

interface Outcome {
  readonly exitCode: number | string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, words: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(program, [...words], (_error, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? undefined, stdout, stderr }),
    );
  });
}

function doctor(...words: string[]): Promise<Outcome> {
  return run(process.execPath, [PROGRAM, "doctor", ...words]);
}

/** Runs doctor on a process and gives what it says about the process: the findings after those of the host. */
async function examine(
  pid: number,
): Promise<{ readonly outcome: Outcome; readonly about: Map<string, Severity[]> }> {
  const outcome = await doctor("--pid", String(pid), "--json");
  const answer: { event: string; ok: boolean; findings: Finding[] } = JSON.parse(outcome.stdout);
  assert.equal(answer.event, "doctor");
  const blocked = answer.findings.some(({ severity }) => severity === "blocker");
  assert.equal(answer.ok, !blocked);
  assert.equal(outcome.exitCode, blocked ? 1 : 0, outcome.stderr);
  const about = new Map<string, Severity[]>();
  const first = answer.findings.findIndex(({ code }) => code === "HM_DOCTOR_QEMU");
  for (const { code, severity } of answer.findings.slice(first)) {
    about.set(code, [...(about.get(code) ?? []), severity]);
  }
  return { outcome, about };
}

const QEMU = "qemu-system-test";

/** Whether this is the machine's first pid namespace (include/linux/proc_ns.h PROC_PID_INIT_INO). */
function isHost(): boolean {
  return readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]";
}

describe("hugemend doctor", () => {
  it("examines the host: one object, the exit code follows the findings", async () => {
    const { exitCode, stdout } = await doctor("--json");
    assert.equal(stdout.trimEnd().split("\n").length, 1);
    const answer: { ok: boolean; findings: Finding[] } = JSON.parse(stdout);
    assert.equal(exitCode, answer.ok ? 0 : 1);
    const codes = answer.findings.map(({ code }) => code);
    for (const code of [
      "PLATFORM",
      "KERNEL",
      "MEMORY_FAILURE",
      "POOL",
      "PTRACE",
      "USERFAULTFD",
      "TRACEPOINT",
    ]) {
      assert.ok(
        codes.some((found) => found === `HM_DOCTOR_${code}`),
        code,
      );
    }
    for (const { severity, cost, fix, message } of answer.findings) {
      assert.ok(message.length > 0);
      assert.equal(severity === "ok", cost === undefined && fix === undefined, message);
    }
  });

  it("finds nothing wrong with a QEMU on shared large pages, but that it has no KVM", async () => {
    await using _pages = await acquire(3);
    await using vm = await startHolder(["2", "shared"], QEMU);
    const { about, outcome } = await examine(vm.pid);
    assert.deepEqual(about.get("HM_DOCTOR_QEMU"), ["ok"]);
    assert.deepEqual(about.get("HM_DOCTOR_TRACED"), ["ok"]);
    assert.deepEqual(about.get("HM_DOCTOR_RAM"), ["ok"]);
    assert.deepEqual(about.get("HM_DOCTOR_DIRECT_IO"), ["ok"]);
    assert.deepEqual(about.get("HM_DOCTOR_KVM"), ["warning"]);
    assert.ok(![...about.values()].flat().includes("blocker"));
    assert.match(
      outcome.stdout,
      /4 MiB at 0x[0-9a-f]+ \(\/memfd:test ram \(deleted\)\): 2 MiB pages, shared/,
    );
  });

  it("refuses memory that is mapped privately", async () => {
    await using _pages = await acquire(2);
    await using vm = await startHolder(["1", "private"], QEMU);
    const { about } = await examine(vm.pid);
    assert.deepEqual(about.get("HM_DOCTOR_PRIVATE_RAM"), ["warning"]);
    assert.deepEqual(about.get("HM_DOCTOR_RAM"), ["blocker"]);
  });

  it("sees direct I/O, a userfaultfd, locked memory, seccomp and a tracer in one process", async () => {
    await using _pages = await acquire(2);
    const words = [
      "1",
      "shared",
      `odirect=${process.execPath}`,
      "aio",
      "io_uring",
      "watch",
      "lock",
      "seccomp",
      "traced",
    ];
    await using vm = await startHolder(words, QEMU);
    const { about, outcome } = await examine(vm.pid);
    assert.deepEqual(about.get("HM_DOCTOR_DIRECT_IO"), ["warning"]);
    assert.deepEqual(about.get("HM_DOCTOR_USERFAULTFD_IN_USE"), ["warning"]);
    assert.deepEqual(about.get("HM_DOCTOR_LOCKED"), ["note"]);
    assert.deepEqual(about.get("HM_DOCTOR_SECCOMP"), ["note"]);
    assert.deepEqual(about.get("HM_DOCTOR_TRACED"), ["blocker"]);
    assert.match(outcome.stdout, /by process \d+ \(qemu-system-tes\)/);
    assert.match(outcome.stdout, /Linux AIO context/);
  });

  it("names another process that maps the same memory", async () => {
    await using _pages = await acquire(2);
    await using vm = await startHolder(["1", "shared"], QEMU);
    await using other = await startHolder(["1", "shared", `map=/proc/${vm.pid}/fd/${vm.fd}`]);
    const { about, outcome } = await examine(vm.pid);
    assert.deepEqual(about.get("HM_DOCTOR_MAPPERS"), ["blocker"]);
    assert.ok(outcome.stdout.includes(`${other.pid} (hugetlb-holder)`));
  });

  it("calls a process that is not QEMU by its name, and blocks", async () => {
    const { about, outcome } = await examine(process.pid);
    assert.deepEqual(about.get("HM_DOCTOR_QEMU"), ["blocker"]);
    assert.deepEqual(about.get("HM_DOCTOR_RAM"), ["blocker"]);
    assert.ok(outcome.stdout.includes(process.execPath));
  });

  it("takes a kernel thread for what it is, wherever one can be seen", async (test) => {
    const kernelThread = readProcesses().find((pid) => {
      try {
        return readStatus(pid).lockedBytes === undefined && readStatus(pid).state !== "Z";
      } catch {
        return false;
      }
    });
    if (kernelThread === undefined) {
      // A container shows none. On the host itself there is one always: kthreadd, process 2.
      assert.ok(!isHost(), "this is no container, and yet no kernel thread was found");
      test.diagnostic("NOT TRIED: a container shows no kernel thread");
      return;
    }
    const { about, outcome } = await examine(kernelThread);
    assert.deepEqual(about.get("HM_DOCTOR_QEMU"), ["blocker"]);
    assert.match(outcome.stdout, /no executable/);
  });

  it("prints a table without colour codes when the output is no terminal", async () => {
    const { exitCode, stdout, stderr } = await doctor("--pid", String(process.pid));
    assert.equal(exitCode, 1, stderr);
    assert.match(stdout, /^ok +PLATFORM +Linux on x86-64\.$/m);
    assert.match(
      stdout,
      new RegExp(`The virtual machine ${process.pid} cannot be protected: \\d+ blockers\\.\n$`),
    );
    assert.ok(!stdout.includes("\u001b"));
  });

  it("says why a self-test cannot be made, and poisons nothing", async () => {
    // Without the capability, so that no machine's memory is poisoned by this test, whatever its kernel can do.
    const words = ["--bounding-set=-sys_admin", process.execPath, PROGRAM, "doctor", "--self-test", "--json"];
    const before = readHardwareCorrupted();
    const { stdout, stderr } = await run("setpriv", words);
    assert.equal(readHardwareCorrupted(), before);
    assert.equal(stderr, "", "no announcement of what will not happen");
    const { selfTest, findings }: { selfTest: unknown; findings: Finding[] } = JSON.parse(stdout);
    const table = salvageSupport(readRelease());
    assert.deepEqual(selfTest, { verdict: "unsupported", table, agrees: null });
    const finding = findings.find(({ code }) => code === "HM_DOCTOR_SELF_TEST");
    assert.equal(finding?.severity, "warning");
    assert.match(
      finding.message,
      /unsupported.*(CAP_SYS_ADMIN|CONFIG_MEMORY_FAILURE|vm\.memory_failure_recovery)/,
    );
  });

  it("answers bad input with one sentence, a code and exit code 2", async () => {
    const gone = await doctor("--pid", "4194304");
    assert.equal(gone.exitCode, 2);
    assert.match(gone.stderr, /^hugemend: HM_NO_SUCH_PROCESS: There is no process 4194304\. /);
    assert.equal(gone.stdout, "");
    const json = await doctor("--pid", "4194304", "--json");
    assert.equal(json.exitCode, 2);
    const answer: { event: string; code: string } = JSON.parse(json.stderr);
    assert.deepEqual([answer.event, answer.code], ["error", "HM_NO_SUCH_PROCESS"]);
    for (const word of ["0", "-1", "abc", "1.5", "99999999999", ""]) {
      const { exitCode, stderr, stdout } = await doctor("--pid", word);
      assert.equal(exitCode, 2, `${word}: ${stderr}`);
      assert.match(stderr, /--pid/);
      assert.equal(stdout, "");
    }
    assert.equal((await doctor("--nonsense")).exitCode, 2);
    assert.equal((await doctor("--help")).exitCode, 0);
  });

  it("tells a thread from its process", async () => {
    const thread = readTasks(process.pid).find((tid) => tid !== process.pid);
    const { exitCode, stderr } = await doctor("--pid", String(thread));
    assert.equal(exitCode, 2);
    assert.match(stderr, new RegExp(`HM_BAD_PID: .*Its process is ${process.pid}`));
  });
});
