/** Compiles a victim: one C file of test/victims into one program beside the compiled tests. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const SOURCES = fileURLToPath(new URL("../../test/victims/", import.meta.url));
const PROGRAMS = fileURLToPath(new URL("./victims/", import.meta.url));

/** A victim may include what lies beside it. */
function newestSource(): number {
  return Math.max(...readdirSync(SOURCES).map((name) => modified(`${SOURCES}${name}`)));
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/**
 * @param name of the C file, without `.c`
 * @param program name of the program; another one gives a process another name
 * @returns path of the program, compiled when it is older than the sources
 * @throws Error with gcc's message when it does not compile
 */
export function compileVictim(name: string, program: string = name): string {
  const source = `${SOURCES}${name}.c`;
  const target = `${PROGRAMS}${program}`;
  if (modified(target) > newestSource()) return target;
  mkdirSync(PROGRAMS, { recursive: true });
  // Test files run side by side: each compiles for itself, and the last rename wins.
  const own = `${target}.${process.pid}`;
  execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", own, source], {
    stdio: "pipe",
  });
  renameSync(own, target);
  return target;
}
