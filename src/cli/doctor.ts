/**
 * `hugemend doctor [--pid N] [--self-test] [--json]`: can this host, or this virtual machine, be protected, and what is lost if not.
 *
 * Exit code: 0 when it can, 1 when a blocker was found, 2 for a pid that names no process.
 */

import { Command } from "commander";
import { examine } from "../guard/doctor/doctor.js";
import { renderDiagnosis, renderJson } from "./doctor-report.js";
import { exitCode, reportError } from "./exit-code.js";
import { parseProcessId } from "./process-id.js";

interface DoctorOptions {
  readonly pid?: string;
  readonly selfTest?: boolean;
  readonly json?: boolean;
}

const DEFAULT_WIDTH = 100;

function useColor(): boolean {
  return process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
}

async function run(options: DoctorOptions): Promise<number> {
  const json = options.json === true;
  try {
    const pid = options.pid === undefined ? undefined : parseProcessId(options.pid);
    // Before it happens, and never between the lines of a script.
    const announce = (cost: string): void => void process.stderr.write(`${cost}\n`);
    const diagnosis = await examine(pid, options.selfTest === true ? announce : undefined);
    const style = { color: useColor(), width: process.stdout.columns ?? DEFAULT_WIDTH };
    process.stdout.write(json ? renderJson(diagnosis) : renderDiagnosis(diagnosis, pid, style));
    return diagnosis.ok ? exitCode.done : exitCode.failed;
  } catch (error) {
    return reportError(error, json);
  }
}

/** @returns the command, for the main program to add */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description("say whether this host, or one VM, can be protected, and what is lost if not")
    .option("--pid <number>", "process id of QEMU")
    .option(
      "--self-test",
      "really poison 4 KiB of one free large page, to see how this kernel reads the rest (root; see the user guide)",
    )
    .option("--json", "print one JSON object on one line")
    .addHelpText("after", "\nExit code: 0 protectable, 1 a blocker was found, 2 bad input.")
    .action(async (options: DoctorOptions) => {
      process.exitCode = await run(options);
    });
}
