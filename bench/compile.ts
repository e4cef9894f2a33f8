/** The programs of bench/c, compiled where they are needed for the first time and when a source has changed. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SOURCES = fileURLToPath(new URL("../../bench/c/", import.meta.url));
const OUTPUT = fileURLToPath(new URL("./", import.meta.url));

/**
 * @param source name of a file in bench/c
 * @param name of what comes out
 * @param flags for gcc
 * @returns its path
 * @throws Error with gcc's complaint
 */
export function compiled(source: string, name: string, flags: readonly string[]): string {
  const program = `${OUTPUT}${name}`;
  const newest = Math.max(...readdirSync(SOURCES).map((file) => statSync(`${SOURCES}${file}`).mtimeMs));
  if ((statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return program;
  mkdirSync(OUTPUT, { recursive: true });
  const own = `${program}.${process.pid}`;
  execFileSync("gcc", [...flags, "-o", own, `${SOURCES}${source}`], { stdio: "pipe" });
  renameSync(own, program);
  return program;
}

/** Flags for every C program. */
export const cFlags: readonly string[] = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"];
