/**
 * `hugemend doctor --self-test`: asks the kernel itself how it reads a poisoned large page, instead of its version number. Opt-in, because
 * it poisons memory. The guard never does this.
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { hasCapability, readStatus } from "../../../linux/procfs/status.js";
import type { HostFacts } from "../host-facts.js";
import { parseTrial, type TrialEnd } from "./parse-trial.js";
import { costOf, planSelfTest } from "./plan-self-test.js";
import { describeRuns, type SelfTest, verdictOf } from "./verdict.js";

const CAP_SYS_ADMIN = 21;
/** A large page of 1 GiB takes seconds. */
const LIMIT_MS = 300_000;

/**
 * @param facts about this host, just collected
 * @param announce told in one sentence what it is about to cost; not called when nothing will be poisoned
 * @returns what came of it
 */
export async function selfTest(facts: HostFacts, announce: (cost: string) => void): Promise<SelfTest> {
  const mayPoison = hasCapability(readStatus(process.pid), CAP_SYS_ADMIN);
  const plan = planSelfTest({ ...facts, mayPoison });
  if ("unsupported" in plan) return { verdict: "unsupported", why: plan.unsupported };
  announce(costOf(plan.pageSize));
  const end = await runProcess(plan.pageSize);
  const { report, poisoned } = parseTrial(end);
  if (report === undefined) {
    const why = `its process was ended before it could tell (${end.end})`;
    return poisoned && !end.late ? { verdict: "broken", why } : { verdict: "unsupported", why };
  }
  if ("unsupported" in report)
    return { verdict: "unsupported", why: report.unsupported, leftover: report.leftover };
  const why = `pages of 4 KiB, in order: ${describeRuns(report.runs)}; page ${report.bad} was poisoned`;
  return { verdict: verdictOf(report), why, leftover: report.leftover };
}

/** A process of its own, so that a kernel that kills whoever poisons a page does not kill doctor. */
function runProcess(pageSize: number): Promise<TrialEnd> {
  return new Promise((resolve) => {
    const program = join(import.meta.dirname, "trial-process.js");
    const child = spawn(process.execPath, [program, String(pageSize)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, LIMIT_MS);
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString();
    });
    const ended = (end: string): void => {
      clearTimeout(limit);
      resolve({ output, end: late ? `not done within ${LIMIT_MS / 1000} s` : end, late });
    };
    child.once("error", (error) => ended(error.message));
    child.once("close", (code, signal) =>
      ended(signal === null ? `exit code ${code}` : `ended by ${signal}`),
    );
  });
}
