import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runCommand } from "./command.js";
import { LabError } from "./lab-error.js";
import type { Progress } from "./progress.js";

/** What the lab needs from the machine: a file that proves it is there, and the Debian package that brings it. */
const needs: readonly { readonly package: string; readonly proof: string }[] = [
  { package: "mmdebstrap", proof: "mmdebstrap" },
  { package: "gcc", proof: "gcc" },
  { package: "libc6-dev", proof: "/usr/include/stdio.h" },
  { package: "e2fsprogs", proof: "mke2fs" },
  { package: "xz-utils", proof: "xz" },
  { package: "util-linux", proof: "setpriv" },
  { package: "debian-archive-keyring", proof: "/usr/share/keyrings/debian-archive-trixie-stable.gpg" },
];

/**
 * Makes sure that this machine can build and run the lab, and installs what is missing with apt.
 *
 * @param progress told what is installed
 * @throws LabError one sentence that says what is missing and what to do: `HM_LAB_ARCHITECTURE`, `HM_LAB_NOT_ROOT`, `HM_LAB_NO_APT`,
 *   `HM_LAB_INSTALL`
 */
export async function ensureRequirements(progress: Progress): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new LabError("HM_LAB_ARCHITECTURE", "The lab cannot run on this machine", {
      present: `${process.platform} on ${process.arch}`,
      expected: "linux on x64",
      remedy: "Run it on an x86-64 Linux machine",
    });
  }
  if (process.getuid?.() !== 0) {
    throw new LabError("HM_LAB_NOT_ROOT", "The lab must be built by root", {
      present: `user id ${process.getuid?.() ?? "unknown"}`,
      expected: "user id 0",
      remedy: "Run the same command as root, for example with sudo",
    });
  }
  const missing = needs.filter((need) => !present(need.proof)).map((need) => need.package);
  if (missing.length === 0) return;
  if (!present("apt-get")) {
    throw new LabError(
      "HM_LAB_NO_APT",
      "The lab needs tools that are not installed, and there is no apt-get",
      {
        present: `missing ${missing.join(", ")}`,
        remedy: "Run it on Debian 12 or newer, or install them by hand",
      },
    );
  }
  progress.note(`The lab needs ${missing.join(", ")}: installing with apt-get`);
  await progress.step(`apt-get install ${missing.join(" ")}`, () => install(missing));
  const still = needs.filter((need) => !present(need.proof)).map((need) => need.proof);
  if (still.length > 0) {
    throw new LabError(
      "HM_LAB_INSTALL",
      `apt-get installed ${missing.join(", ")}, yet ${still.join(", ")} is not there`,
      {
        remedy: "Debian 12 or newer is needed",
      },
    );
  }
}

async function install(packages: readonly string[]): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends", ...packages];
  try {
    await runCommand(argv, { env });
  } catch {
    // The package lists may be missing or old, as in a fresh container.
    const remedy = `Check the network and apt's sources, then run: ${argv.join(" ")}`;
    await runCommand(["apt-get", "update", "-q"], { env, remedy });
    await runCommand(argv, { env, remedy });
  }
}

/** Whether a program is on the PATH (or in a system folder that root's PATH may lack), or an absolute file exists. */
function present(proof: string): boolean {
  if (proof.startsWith("/")) return existsSync(proof);
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => folder !== "" && existsSync(join(folder, proof)));
}
