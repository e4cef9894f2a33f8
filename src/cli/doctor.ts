/**
 * `hugemend doctor [--pid N] [--json]`: can this host, or this virtual machine, be protected, and what is lost if not.
 *
 * Exit code: 0 when it can, 1 when a blocker was found, 2 for a pid that names no process.
 */

import { Command, InvalidArgumentError } from "commander";
import { HugemendError } from "../errors.js";
import { examine } from "../guard/doctor/doctor.js";
import { renderDiagnosis, renderJson } from "./doctor-report.js";

interface DoctorOptions {
  readonly pid?: number;
  readonly json?: boolean;
}

const BLOCKED = 1;
const BAD_INPUT = 2;
const DEFAULT_WIDTH = 100;

/** Only the form is checked here; whether such a process exists is a question to the kernel. */
function parsePid(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new InvalidArgumentError("A process id is a whole number from 1 on.");
  return Number(text);
}

function useColor(): boolean {
  return process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
}

function reportError(error: HugemendError, json: boolean): void {
  if (json) {
    const { code, message } = error;
    process.stdout.write(`${JSON.stringify({ event: "doctor", ok: false, code, message, findings: [] })}\n`);
  }
  process.stderr.write(`hugemend doctor: ${error.message} [${error.code}]\n`);
}

async function run(options: DoctorOptions): Promise<void> {
  try {
    const diagnosis = await examine(options.pid);
    const style = { color: useColor(), width: process.stdout.columns ?? DEFAULT_WIDTH };
    process.stdout.write(
      options.json ? renderJson(diagnosis) : renderDiagnosis(diagnosis, options.pid, style),
    );
    process.exitCode = diagnosis.ok ? 0 : BLOCKED;
  } catch (error) {
    if (!(error instanceof HugemendError)) throw error;
    reportError(error, options.json === true);
    process.exitCode = BAD_INPUT;
  }
}

/** @returns the command, to be added to the program */
export function doctorCommand(): Command {
  return new Command("doctor")
    .description("say whether this host, or one virtual machine, can be protected, and what is lost if not")
    .option("--pid <N>", "process id of a running QEMU", parsePid)
    .option("--json", "print one JSON object on one line")
    .addHelpText("after", "\nExit code: 0 protectable, 1 a blocker was found, 2 bad input.")
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : BAD_INPUT);
    })
    .action(run);
}
