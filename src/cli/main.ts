#!/usr/bin/env -S node --max-semi-space-size=1 --v8-pool-size=1
/** The command line: one file per command. */

import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { CliError } from "./cli-error.js";
import { doctorCommand } from "./doctor.js";
import { exitCode, reportError } from "./exit-code.js";
import { guardCommand } from "./guard.js";

const json = process.argv.includes("--json");

function refuseOtherSystems(): void {
  if (process.platform === "linux") return;
  throw new CliError("HM_NOT_LINUX", "Hugemend runs on Linux only", {
    present: process.platform,
    expected: "linux",
  });
}

async function main(): Promise<void> {
  refuseOtherSystems();
  const program = new Command("hugemend")
    .description("keeps large-page VMs alive through memory errors, from outside an unmodified QEMU")
    .version(version())
    .addCommand(guardCommand())
    .addCommand(doctorCommand());
  for (const command of [program, ...program.commands]) {
    command.exitOverride().showHelpAfterError("(add --help for the options)");
  }
  await program.parseAsync();
}

function version(): string {
  const text: unknown = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  if (typeof text === "object" && text !== null && "version" in text) return String(text.version);
  return "unknown";
}

try {
  await main();
} catch (error) {
  // Commander has printed its sentence already; help and version are no errors.
  if (error instanceof CommanderError)
    process.exitCode = error.exitCode === 0 ? exitCode.done : exitCode.badInput;
  else process.exitCode = reportError(error, json);
}
