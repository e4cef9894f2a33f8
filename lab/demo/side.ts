import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CheckResult, LostRun } from "../checker.js";
import { LabError } from "../lab-error.js";
import type { GuardEvent, LabGuard } from "../lab-guard.js";
import type { LabSession } from "../lab-session.js";
import { type LabEnvironment, withSession } from "../run-scenario.js";
import { filledPages, usualVictim } from "../victim-config.js";

/** Which 4 KiB of the large page goes bad. */
const badPage = 256;

/** A moment of the demo, in milliseconds of this machine's clock after the poisoning. */
export interface Moment {
  readonly ms: number;
  readonly text: string;
}

/** What one of the two VMs went through. */
export interface SideResult {
  readonly ok: number;
  readonly lost: number;
  readonly corrupt: number;
  readonly survived: boolean;
  readonly runs: readonly LostRun[];
  /** The large page, and the one bad 4 KiB in it. */
  readonly largeGpa: number;
  readonly badGpa: number;
  /** Machine check exceptions the guest took; undefined when it could not be asked any more. */
  readonly machineChecks: number | undefined;
  readonly moments: readonly Moment[];
  /** The guard's `recovered` event. */
  readonly recovered: GuardEvent | undefined;
  /** Why the VM could not be counted, when it could not. */
  readonly died: string | undefined;
}

/** Plays one side on a lab host of its own. @param guarded with `hugemend guard`, or stock */
export function playSide(environment: LabEnvironment, guarded: boolean, logs: string): Promise<SideResult> {
  mkdirSync(logs, { recursive: true });
  return withSession(environment, usualVictim, logs, (lab) => play(lab, guarded));
}

async function play(lab: LabSession, guarded: boolean): Promise<SideResult> {
  const { victim } = lab;
  const guard = guarded ? await lab.guard() : undefined;
  const [large] = await victim.ownLargePages(1);
  const largeGpa = large?.gpa ?? 0;
  const badGpa = largeGpa + badPage * 4096;
  const since = performance.now();
  const moments: Moment[] = [];
  const mark = (text: string): void => {
    moments.push({ ms: performance.now() - since, text });
  };
  watch(guard, mark);
  mark("the kernel is told that one 4 KiB is bad");
  await victim.poison([badGpa]);
  mark("the guest begins to read its memory back");
  let counted: CheckResult;
  let died: string | undefined;
  try {
    counted = await victim.checker.check();
    mark("the guest has read everything");
  } catch (error) {
    if (!(error instanceof LabError) || !isDeath(error)) throw error;
    // Honest counting: a guest that died has lost everything.
    counted = { ok: 0, lost: filledPages, corrupt: 0, signals: 0, runs: [] };
    died = error.message;
  }
  const survived = died === undefined && (await victim.survives());
  const machineChecks = survived ? (await victim.checker.machineChecks()).exceptions : undefined;
  const { ok, lost, corrupt, runs } = counted;
  const recovered = guard?.all("recovered")[0];
  return { ok, lost, corrupt, survived, runs, largeGpa, badGpa, machineChecks, moments, recovered, died };
}

/** The VM is dead or mute; a lab host that is lost is another matter. */
function isDeath(error: LabError): boolean {
  return ["HM_LAB_CHANNEL_ENDED", "HM_LAB_TIMEOUT", "HM_LAB_VICTIM_ENDED"].includes(error.code);
}

/** Notes when the guard says something. It may say nothing: then there is nothing to note. */
function watch(guard: LabGuard | undefined, mark: (text: string) => void): void {
  const texts: readonly (readonly [string, string])[] = [
    ["recovered", "the guard has put small pages in the large page's place"],
    ["refused", "the guard refused to act"],
    ["poison", "the guard hands the lost page's error to QEMU"],
  ];
  for (const [name, text] of texts) {
    guard?.waitFor(name, 300_000).then(
      () => mark(text),
      () => {
        // It never came, which is a finding of its own.
      },
    );
  }
}

/** Folder of one side's logs. */
export function sideLogs(folder: string, guarded: boolean, attempt: number): string {
  return join(folder, `${guarded ? "hugemend" : "stock"}-${attempt}`);
}
