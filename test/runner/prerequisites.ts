/**
 * What the tests need beside Node: a C compiler for the victims, a stock QEMU, and tools that a minimal Debian leaves out. What else
 * they call is essential there: sleep, mkfifo, env (coreutils), setpriv (util-linux). The lab has a list of its own
 * (lab/requirements.ts).
 */

import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";

/** A program or file that must be there, and the Debian packages that bring it. */
interface Prerequisite {
  /** A program that knows --version, or the absolute path of a header. */
  readonly program: string;
  readonly packages: readonly string[];
}

function isThere(program: string): boolean {
  if (program.endsWith(".h")) return existsSync(program);
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
    { program: "gcc", packages: ["gcc"] },
    { program: "/usr/include/stdio.h", packages: ["libc6-dev"] },
    { program: "/usr/include/linux/userfaultfd.h", packages: ["linux-libc-dev"] },
    { program: "mount", packages: ["mount"] },
    { program: "umount", packages: ["mount"] },
    { program: "setpriv", packages: ["util-linux"] },
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
  const packages = [...new Set(missing.flatMap((one) => one.packages))];
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
