import assert from "node:assert/strict";
import type { CheckResult } from "./checker.js";
import type { GuardEvent } from "./lab-guard.js";
import type { LabSession } from "./lab-session.js";
import { hex } from "./victim.js";
import { filledPages } from "./victim-config.js";

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

/** How the guard must have learned of the errors. */
export function expectTriggers(events: readonly GuardEvent[], trigger: "AR" | "AO"): void {
  assert.deepEqual(
    events.map((event) => event["trigger"]),
    events.map(() => trigger),
    "triggers of the `recovered` events",
  );
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

/** One line for the report. */
export function describe(result: CheckResult): string {
  return `${result.ok} intact, ${result.lost} lost, ${result.corrupt} corrupt`;
}

function sorted(gpas: readonly number[]): string[] {
  return [...gpas].sort((a, b) => a - b).map(hex);
}
