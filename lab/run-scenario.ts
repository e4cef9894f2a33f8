import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../src/errors.js";
import { atEnd } from "./cleanup.js";
import { imageFor } from "./host-image.js";
import type { LabImage } from "./image.js";
import { LabHostLost } from "./lab-error.js";
import { LabSession } from "./lab-session.js";
import type { Progress } from "./progress.js";
import type { Scenario } from "./scenario.js";
import { victimSnapshot } from "./snapshot.js";
import type { VictimConfig } from "./victim-config.js";

/** What everything in one run of the lab shares. */
export interface LabEnvironment {
  readonly progress: Progress;
  readonly image: LabImage;
  /** The payload disk. */
  readonly payload: string;
  /** Keep the logs of what went well too. */
  readonly keep: boolean;
}

/** One scenario's outcome; also the JSON line. */
export interface ScenarioResult {
  readonly scenario: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly detail: string;
  /** Present when logs were kept. */
  readonly logs?: string;
  /** The lab host was lost and the scenario run again: why. */
  readonly retried?: string;
}

/** Plays a scenario on a fresh lab host; once more on another one when the lab host itself was lost. */
export async function runScenario(environment: LabEnvironment, scenario: Scenario): Promise<ScenarioResult> {
  const since = Date.now();
  const logs = mkdtempSync(join(tmpdir(), `hugemend-lab-${scenario.name}-`));
  const remove = (): void => rmSync(logs, { recursive: true, force: true });
  const callOff = atEnd(remove);
  const play = (attempt: number): Promise<string> =>
    withSession(environment, scenario.victim, subfolder(logs, `attempt-${attempt}`), (lab) =>
      scenario.run(lab),
    );
  let retried: string | undefined;
  let ok = true;
  let detail: string;
  try {
    detail = await environment.progress.step(`scenario ${scenario.name}`, () =>
      play(1).catch((error: unknown) => {
        if (!(error instanceof LabHostLost)) throw error;
        retried = error.message;
        environment.progress.note(
          `scenario ${scenario.name}: THE LAB HOST WAS LOST (${retried}); running it once more on a fresh one`,
        );
        return play(2);
      }),
    );
  } catch (error) {
    ok = false;
    detail = messageOf(error);
    writeFileSync(
      join(logs, "error.log"),
      error instanceof Error ? `${error.stack}\n${causes(error)}` : String(error),
    );
  }
  if (retried !== undefined) detail += ` (run twice: ${retried})`;
  const keep = environment.keep || !ok;
  callOff();
  if (!keep) remove();
  const seconds = Math.round((Date.now() - since) / 100) / 10;
  return {
    scenario: scenario.name,
    ok,
    seconds,
    detail,
    ...(keep && { logs }),
    ...(retried !== undefined && { retried }),
  };
}

/**
 * Starts a lab host with a victim from its snapshot, works with it, and ends it.
 *
 * @param logs existing folder for all output; the lab host's side is collected when the work fails or logs are kept
 */
export async function withSession<T>(
  environment: LabEnvironment,
  config: VictimConfig,
  logs: string,
  work: (lab: LabSession) => Promise<T>,
): Promise<T> {
  const { payload, progress, keep } = environment;
  const image = await imageFor(progress, environment.image, config.host);
  const snapshot = await victimSnapshot(progress, image, config);
  await using lab = await LabSession.open(
    { kind: config.host, image, payload, shared: false, logs, ...snapshot },
    config,
  );
  try {
    const result = await work(lab);
    if (keep) await lab.collect();
    return result;
  } catch (error) {
    if (!(error instanceof LabHostLost)) await lab.collect();
    throw error;
  }
}

function subfolder(folder: string, name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

function causes(error: Error): string {
  return error.cause instanceof Error ? `caused by ${error.cause.stack}\n${causes(error.cause)}` : "";
}
