/** Plays the lab's scenarios and counts each. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Tally } from "./tally.js";

/** One line of `npm run lab -- usual --json`. */
interface ScenarioLine {
  readonly scenario: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly detail: string;
}

function parseLine(line: string): ScenarioLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!("scenario" in value) || !("ok" in value) || !("seconds" in value) || !("detail" in value))
    return undefined;
  return {
    scenario: String(value.scenario),
    ok: value.ok === true,
    seconds: Number(value.seconds),
    detail: typeof value.detail === "string" ? value.detail : JSON.stringify(value.detail),
  };
}

/**
 * @param program path of the lab's compiled main file; its progress goes to our standard error
 * @param interrupted aborted when the lab was asked to end: then it is not to blame
 */
export async function runLabScenarios(
  tally: Tally,
  program: string,
  interrupted: AbortSignal,
): Promise<void> {
  const child = spawn(process.execPath, [program, "usual", "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) =>
      resolve(code === null ? `ended by ${signal}` : `exit code ${code}`),
    );
  });
  let played = 0;
  let failed = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const result = parseLine(line);
    if (interrupted.aborted) continue;
    if (result === undefined) {
      failed += 1;
      tally.fail("lab", `an unexpected line: ${line}`);
      continue;
    }
    played += 1;
    if (result.ok) {
      tally.pass();
      tally.say(`${result.scenario}: ok (${result.seconds} s) ${result.detail}`);
    } else {
      failed += 1;
      tally.fail(`lab scenario ${result.scenario}`, result.detail);
    }
  }
  const end = await ended;
  if (interrupted.aborted) return;
  if (played === 0) tally.fail("lab", `no scenario was played (${end})`);
  else if (end !== "exit code 0" && failed === 0) tally.fail("lab", `all scenarios are well, but: ${end}`);
}
