import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "./command.js";
import { projectFolder } from "./places.js";

/** The C programs that run inside: name and source are the same. */
export const guestPrograms = ["agent", "poison", "echo", "checker"] as const;
/** One of them. */
export type GuestProgram = (typeof guestPrograms)[number];

/** Further sources of a program. */
const parts: Readonly<Record<string, readonly string[]>> = {
  checker: ["checker-disk.c", "checker-net.c"],
};

/** Every source file of them. */
export const guestSources: readonly string[] = [
  ...guestPrograms.map((name) => `${name}.c`),
  ...Object.values(parts).flat(),
  "checker.h",
];

/** Where a file of `lab/guest` lies in the source tree. */
export function guestSource(file: string): string {
  return join(projectFolder, "lab/guest", file);
}

/** Compiles one program, statically, so that it needs nothing where it runs. @returns the executable */
export async function compileGuestProgram(name: GuestProgram): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), "hugemend-cc-"));
  try {
    const out = join(folder, name);
    await runCommand(
      [
        "gcc",
        "-O2",
        "-static",
        "-pthread",
        "-s",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        out,
        guestSource(`${name}.c`),
        ...(parts[name] ?? []).map(guestSource),
      ],
      {
        remedy: "gcc and a static libc (libc6-dev) are needed",
      },
    );
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
