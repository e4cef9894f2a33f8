import { CliError } from "./cli-error.js";

/**
 * @param option name of the option, for the message
 * @param path what the user gave
 * @throws CliError HM_CLI_PATH when it is empty: an unset variable of a script must not become the current folder
 */
export function requirePath(option: "--ledger" | "--qmp", path: string): string {
  if (path.trim() !== "") return path;
  throw new CliError("HM_CLI_PATH", `The value of ${option} is no path`, {
    present: JSON.stringify(path),
    expected: option === "--ledger" ? "a folder" : "the path of a QMP socket",
    remedy: "Give one, or leave the option out",
  });
}
