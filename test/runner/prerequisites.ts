/** What the tests need beside Node: a C compiler for the victims, and a stock QEMU. */

import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";

/** A program that must be there, and the Debian packages that bring it. */
interface Prerequisite {
  readonly program: string;
  readonly packages: readonly string[];
}

function isThere(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function needed(): Prerequisite[] {
  const qemu = process.env["HUGEMEND_TEST_QEMU"] ?? "qemu-system-x86_64";
  return [
    { program: "gcc", packages: ["gcc", "libc6-dev"] },
    { program: qemu, packages: ["qemu-system-x86"] },
  ].filter(({ program }) => !isThere(program));
}

/**
 * Installs what is missing with apt-get.
 *
 * @param say tells what is done
 * @throws Error that says what is missing and what to do
 */
export function installPrerequisites(say: (text: string) => void): void {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    throw new Error("the tests trace processes and use large pages: run them as root on Linux");
  }
  const missing = needed();
  if (missing.length === 0) return;
  const packages = missing.flatMap((one) => one.packages);
  const advice = `install ${packages.join(" ")} and start again`;
  try {
    accessSync("/usr/bin/apt-get", constants.X_OK);
  } catch {
    throw new Error(`${missing.map(({ program }) => program).join(" and ")} is missing: ${advice}`);
  }
  say(`installing ${packages.join(" ")} with apt-get`);
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const words of [["update"], ["install", "--yes", "--no-install-recommends", ...packages]]) {
    const { status, stderr } = spawnSync("apt-get", ["--quiet", ...words], {
      env: environment,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`apt-get ${words.join(" ")} failed: ${advice}\n${stderr}`);
  }
}
