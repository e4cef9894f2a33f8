/** `npm run demo [-- --json]`: the same memory error in two VMs at once, one stock, one guarded, side by side. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { HugemendError, messageOf } from "../src/errors.js";
import { atEnd } from "./cleanup.js";
import { demoReport } from "./demo/report.js";
import { playSide, type SideResult, sideLogs } from "./demo/side.js";
import { demoText } from "./demo/text.js";
import { openLab } from "./environment.js";
import { LabError, LabHostLost } from "./lab-error.js";
import { projectFolder } from "./places.js";
import type { LabEnvironment } from "./run-scenario.js";
import { victimSnapshot } from "./snapshot.js";
import { filledPages, usualVictim } from "./victim-config.js";

/** @returns the exit code: 0 the expected outcome was seen, 1 another one, 2 bad input or the lab cannot run here */
async function main(argv: readonly string[]): Promise<number> {
  const json = parse(argv);
  const environment = await openLab(false);
  const { progress } = environment;
  await victimSnapshot(progress, environment.image, usualVictim);
  const logs = mkdtempSync(join(tmpdir(), "hugemend-demo-"));
  const remove = (): void => rmSync(logs, { recursive: true, force: true });
  const keepLogs = atEnd(remove);
  let stock: SideResult;
  let hugemend: SideResult;
  try {
    [stock, hugemend] = await Promise.all([
      progress.step("stock VM: poison one page, read everything", () => side(environment, false, logs)),
      progress.step("guarded VM: poison one page, read everything", () => side(environment, true, logs)),
    ]);
  } catch (error) {
    keepLogs();
    progress.note(`logs: ${logs}`);
    throw error;
  }
  const report = writeReport(demoReport(stock, hugemend, new Date()));
  progress.clear();
  if (!json) process.stdout.write(`${demoText(stock, hugemend)}\nReport: ${report}\n`);
  const difference = unexpected(hugemend);
  if (difference !== undefined) {
    keepLogs();
    process.stderr.write(`The guarded VM did not come out as expected: ${difference}\nlogs: ${logs}\n`);
  }
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ event: "demo", stock: counts(stock), hugemend: counts(hugemend), report })}\n`,
    );
  }
  return difference === undefined ? 0 : 1;
}

/** One side; once more on a fresh lab host when the lab host itself was lost. */
async function side(environment: LabEnvironment, guarded: boolean, logs: string): Promise<SideResult> {
  try {
    return await playSide(environment, guarded, sideLogs(logs, guarded, 1));
  } catch (error) {
    if (!(error instanceof LabHostLost)) throw error;
    environment.progress.note(
      `THE LAB HOST WAS LOST (${error.message}); running this side once more on a fresh one`,
    );
    return playSide(environment, guarded, sideLogs(logs, guarded, 2));
  }
}

/** What differs from exactly one lost page, in words; undefined when nothing does. */
function unexpected(seen: SideResult): string | undefined {
  const wanted = { ok: filledPages - 1, lost: 1, corrupt: 0, survived: true };
  const found = counts(seen);
  const differences = (["ok", "lost", "corrupt", "survived"] as const)
    .filter((key) => found[key] !== wanted[key])
    .map((key) => `${key} is ${found[key]}, expected ${wanted[key]}`);
  if (seen.lost === 1 && seen.runs[0]?.gpa !== seen.badGpa)
    differences.push("another page than the bad one is lost");
  return differences.length === 0 ? undefined : differences.join(", ");
}

function counts(seen: SideResult): { ok: number; lost: number; corrupt: number; survived: boolean } {
  const { ok, lost, corrupt, survived } = seen;
  return { ok, lost, corrupt, survived };
}

/** Into the project's `reports` folder, which ignores itself. */
function writeReport(html: string): string {
  const folder = join(projectFolder, "reports");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, ".gitignore"), "*\n");
  const file = join(folder, `demo-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.html`);
  writeFileSync(file, html);
  return file;
}

function parse(argv: readonly string[]): boolean {
  try {
    return parseArgs({ args: [...argv], options: { json: { type: "boolean", default: false } } }).values.json;
  } catch (error) {
    throw new LabError("HM_LAB_USAGE", `${messageOf(error)}; usage: npm run demo [-- --json]`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const code = error instanceof HugemendError ? `${error.code}: ` : "";
  process.stderr.write(`${code}${messageOf(error)}\n`);
  process.exitCode = 2;
}
