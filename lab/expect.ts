import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckResult } from "./checker.js";
import { type GuardEvent, type LabGuard, ledgerFolder } from "./lab-guard.js";
import type { LabSession } from "./lab-session.js";
import { hex } from "./victim.js";
import { filledPages } from "./victim-config.js";

/** How long the guest's kernel may take to hear of an error. */
const PATIENCE_MS = 60_000;

/**
 * Everything but the named pages must be intact, and nothing corrupt.
 *
 * @param lost guest-physical addresses of the only 4 KiB pages that may be lost
 */
export function expectOnlyLost(result: CheckResult, lost: readonly number[]): void {
  const gpas = result.runs.flatMap((run) =>
    Array.from({ length: run.pages }, (_, page) => run.gpa + page * 4096),
  );
  const { ok, corrupt } = result;
  assert.deepEqual(
    { ok, lost: sorted(gpas), corrupt },
    { ok: filledPages - lost.length, lost: sorted(lost), corrupt: 0 },
    `the guest found ${ok} pages intact, ${result.lost} lost, ${corrupt} corrupt`,
  );
}

/** The guard must have said the same pages, in bytes and addresses. */
export function expectRecovered(events: readonly GuardEvent[], lost: readonly number[]): void {
  const said = events.flatMap((event) => {
    const ranges: unknown = event["lost"];
    return Array.isArray(ranges)
      ? ranges.map(
          (range: Readonly<Record<string, unknown>>) => `${String(range["gpa"])}+${String(range["bytes"])}`,
        )
      : [];
  });
  assert.deepEqual(
    said.sort(),
    sorted(lost)
      .map((gpa) => `${gpa}+4096`)
      .sort(),
    "lost pages in the guard's `recovered` events",
  );
}

/** What {@link expectLoss} looks for besides the lost pages. */
export interface LossOptions {
  /** How often the guard has replaced a large page; 1 unless said otherwise. */
  readonly recoveries?: number;
  /** Lost pages in its words, where it has not told of all of them. */
  readonly told?: readonly number[];
  /** Threads of the guest that read, one for each virtual CPU; 1 unless said otherwise. */
  readonly threads?: number;
}

/**
 * The guest reads everything: exactly these pages are lost, to the guest, in the guard's words and in machine checks, and the VM
 * lives.
 *
 * @param bad guest-physical addresses of the lost 4 KiB pages
 * @returns one line for the report
 */
export async function expectLoss(
  lab: LabSession,
  guard: LabGuard,
  bad: readonly number[],
  { recoveries = 1, told = bad, threads = 1 }: LossOptions = {},
): Promise<string> {
  const seen = await expectGuestLost(lab, bad, threads);
  expectRecovered(await guard.waitForCount("recovered", recoveries), told);
  return seen;
}

/** The same without the guard's words. */
export async function expectGuestLost(lab: LabSession, bad: readonly number[], threads = 1): Promise<string> {
  const result = await lab.victim.checker.check(threads);
  expectOnlyLost(result, bad);
  await expectMachineChecks(lab, bad);
  await expectAlive(lab);
  return describe(result);
}

/** How the guard must have learned of the errors. */
export function expectTriggers(events: readonly GuardEvent[], trigger: "AR" | "AO"): void {
  assert.deepEqual(
    events.map((event) => event["trigger"]),
    events.map(() => trigger),
    "triggers of the `recovered` events",
  );
}

/**
 * What the ledger says of how replacements were meant to be filled, one for each attempt.
 *
 * @param reasons why so, in the order of the attempts
 */
export async function expectFillReasons(lab: LabSession, reasons: readonly RegExp[]): Promise<void> {
  const text = await lab.host.agent.must(`cat ${ledgerFolder}/${lab.victim.pid}-*.jsonl`);
  const said = [...text.matchAll(/"fillWhy":"([^"]*)"/g)].map(([, why]) => why ?? "");
  assert.equal(said.length, reasons.length, `reasons in the ledger: ${said.join("; ")}`);
  reasons.forEach((reason, index) => {
    assert.match(said[index] ?? "", reason);
  });
}

/** The VM must still live. */
export async function expectAlive(lab: LabSession): Promise<void> {
  assert.equal(await lab.victim.survives(), true, "the victim VM died");
}

/** The machine checks that the guest's kernel was told of must be for these pages only. */
export async function expectMachineChecks(lab: LabSession, gpas: readonly number[]): Promise<void> {
  const seen = await lab.victim.checker.machineChecks();
  assert.deepEqual(sorted(seen.gpas), sorted(gpas), "pages that the guest's kernel got machine checks for");
}

/** Waits until the guest's kernel was told of all these pages; it must not be told of others. Meanwhile nobody touches them. */
export async function untilTold(lab: LabSession, gpas: readonly number[]): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const told = (await lab.victim.checker.machineChecks()).gpas;
    const others = told.filter((gpa) => !gpas.includes(gpa));
    assert.deepEqual(others.map(hex), [], "pages that are not lost");
    if (told.length === gpas.length) return;
    assert.ok(Date.now() < until, `the guest was told of ${told.map(hex).join(", ") || "nothing"}`);
    await sleep(200);
  }
}

/** One line for the report. */
export function describe(result: CheckResult): string {
  return `${result.ok} intact, ${result.lost} lost, ${result.corrupt} corrupt`;
}

function sorted(gpas: readonly number[]): string[] {
  return [...gpas].sort((a, b) => a - b).map(hex);
}
