import assert from "node:assert/strict";
import { expectAlive, expectOnlyLost } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { oldKernelVictim, usualVictim } from "../victim-config.js";

/** The self-test on the kernel that everything else here runs on, beside a guarded VM that must not notice. */
export const selfTest: Scenario = {
  name: "self-test",
  onlyInAll: true,
  summary:
    "hugemend doctor --self-test sees that this kernel reads the good part, and leaves nothing behind where it can",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const before = await hostCounts(lab);
    const { verdict, message } = await runSelfTest(lab, { verdict: "ok", table: "ok", severity: "ok" });
    assert.deepEqual(await hostCounts(lab), before, "the pool, and memory marked bad");

    await lab.host.agent.must("rmmod hwpoison_inject");
    const again = await runSelfTest(lab, { verdict: "ok", table: "ok", severity: "note" });
    const cost =
      "4 KiB of memory stay marked bad until the next boot. The pool has 1 large page less to give.";
    assert.equal(again.cost, cost);
    const less = { ...before, free: before.free - 1, corrupted: before.corrupted + 4 };
    assert.deepEqual(await hostCounts(lab), less, "the pool, and memory marked bad");

    expectOnlyLost(await lab.victim.checker.check(), []);
    assert.deepEqual([...guard.all("recovered"), ...guard.all("refused"), ...guard.all("poison")], []);
    await expectAlive(lab);
    return `${verdict}: ${message}; without hwpoison-inject: ${again.cost}`;
  },
};

/** The same on Debian 12's kernel. */
export const selfTestOldKernel: Scenario = {
  name: "self-test-old-kernel",
  onlyInAll: true,
  summary: "the same on Debian 12's kernel 6.1: it sees that every byte is an I/O error, as the version says",
  victim: oldKernelVictim,
  async run(lab) {
    const before = await hostCounts(lab);
    const expected = { verdict: "all-eio", table: "all-eio", severity: "blocker" };
    const { verdict, message } = await runSelfTest(lab, expected);
    assert.deepEqual(await hostCounts(lab), before, "the pool, and memory marked bad");
    expectOnlyLost(await lab.victim.checker.check(), []);
    await expectAlive(lab);
    return `${verdict}: ${message}`;
  },
};

interface Expected {
  readonly verdict: string;
  readonly table: string;
  readonly severity: string;
}

async function runSelfTest(
  lab: LabSession,
  expected: Expected,
): Promise<{ readonly verdict: string; readonly message: string; readonly cost: string }> {
  const { code, stdout } = await lab.command(["doctor", "--self-test", "--json"], 300_000);
  const { selfTest: seen, findings } = parseAnswer(stdout);
  const finding = findings.find((one) => one["code"] === "HM_DOCTOR_SELF_TEST") ?? {};
  const message = String(finding["message"]);
  assert.deepEqual(
    { verdict: seen["verdict"], table: seen["table"], agrees: seen["agrees"], severity: finding["severity"] },
    { ...expected, agrees: true, severity: expected.severity },
    message,
  );
  assert.equal(code, expected.severity === "blocker" ? 1 : 0, "exit code");
  return { verdict: expected.verdict, message, cost: String(finding["cost"]) };
}

type Fields = Readonly<Record<string, unknown>>;

function parseAnswer(stdout: string): { readonly selfTest: Fields; readonly findings: readonly Fields[] } {
  const line = stdout.split("\n").find((one) => one.startsWith('{"event":"doctor"')) ?? "{}";
  // SAFETY: what `hugemend doctor --json` prints; every field is compared afterwards.
  const answer = JSON.parse(line) as { selfTest?: Fields; findings?: readonly Fields[] };
  return { selfTest: answer.selfTest ?? {}, findings: answer.findings ?? [] };
}

interface HostCounts {
  readonly pages: number;
  readonly free: number;
  /** KiB. */
  readonly corrupted: number;
}

async function hostCounts(lab: LabSession): Promise<HostCounts> {
  const text = await lab.host.agent.must("cat /proc/meminfo");
  const count = (name: string): number => Number(new RegExp(`^${name}: *(\\d+)`, "m").exec(text)?.[1]);
  return {
    pages: count("HugePages_Total"),
    free: count("HugePages_Free"),
    corrupted: count("HardwareCorrupted"),
  };
}
