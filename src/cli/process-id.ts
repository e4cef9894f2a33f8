import { CliError } from "./cli-error.js";

/** pid_max is at most 2^22 (proc_sys_kernel(5)). */
const LIMIT = 4194304;

/** @param text what the user gave for --pid @throws CliError HM_CLI_PID */
export function parseProcessId(text: string): number {
  const pid = Number(text);
  if (/^[0-9]{1,7}$/.test(text) && pid >= 1 && pid <= LIMIT) return pid;
  throw new CliError("HM_CLI_PID", "The value of --pid is no process id", {
    present: JSON.stringify(text),
    expected: `a number from 1 to ${LIMIT}`,
    remedy: "`pgrep qemu` lists candidates",
  });
}
