/**
 * Virtual machines that are to be left alone, by their names: one a line in `exempt` in the configuration folder. The name is
 * what QEMU's own option `-name` says.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../errors.js";
import { GuardError } from "./guard-error.js";

/** @returns `$HUGEMEND_CONFIG`, else `/etc/hugemend` */
export function configurationFolder(): string {
  const own = process.env["HUGEMEND_CONFIG"];
  return own === undefined || own === "" ? "/etc/hugemend" : own;
}

/**
 * @param text of the file `exempt`: names, one a line; empty lines and those that begin with `#` say nothing
 * @returns the names
 */
export function parseExemptions(text: string): ReadonlySet<string> {
  const lines = text.split("\n").map((line) => line.trim());
  return new Set(lines.filter((line) => line !== "" && !line.startsWith("#")));
}

/**
 * @param words QEMU's command line
 * @returns the guest's name, undefined if it has none. `-name NAME`, `-name guest=NAME,…`; a comma in it is doubled (QEMU:
 *   util/keyval.c, qemu-options.hx)
 */
export function guestNameOf(words: readonly string[]): string | undefined {
  const at = words.findLastIndex((word) => word === "-name" || word === "--name");
  const value = at < 0 ? undefined : words[at + 1];
  if (value === undefined) return undefined;
  const fields = splitFields(value);
  const named = fields.find((field) => field.startsWith("guest="));
  if (named !== undefined) return named.slice("guest=".length);
  const [first] = fields;
  return first === undefined || first.includes("=") ? undefined : first;
}

/** Splits at single commas. */
function splitFields(value: string): string[] {
  const mark = "\0";
  return value
    .replaceAll(",,", mark)
    .split(",")
    .map((field) => field.replaceAll(mark, ","));
}

/** @throws GuardError HM_GUARD_EXEMPT if the VM is exempted, HM_GUARD_EXEMPT_FILE if nobody can tell */
export function refuseExempt(pid: number, folder: string = configurationFolder()): void {
  const file = join(folder, "exempt");
  const name = guestNameOf(readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0"));
  if (name === undefined || !readExemptions(file).has(name)) return;
  throw new GuardError("HM_GUARD_EXEMPT", `The virtual machine "${name}" is to be left alone`, {
    present: `its name is in ${file}`,
    remedy: "Remove the line to have it guarded",
  });
}

function readExemptions(file: string): ReadonlySet<string> {
  try {
    return parseExemptions(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Set();
    throw new GuardError("HM_GUARD_EXEMPT_FILE", "Which virtual machines are exempted cannot be read", {
      present: `${file}: ${messageOf(error)}`,
      remedy: "Make it a readable text file, or remove it",
    });
  }
}
