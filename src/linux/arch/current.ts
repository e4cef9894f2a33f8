import { LinuxError } from "../linux-error.js";
import type { Architecture } from "./architecture.js";
import { arm64 } from "./arm64.js";
import { x64 } from "./x64.js";

/**
 * The architecture this process runs on.
 *
 * @throws LinuxError HM_NOT_LINUX on other systems, HM_ARCHITECTURE on other processors
 */
export function currentArchitecture(): Architecture {
  if (process.platform !== "linux") {
    throw new LinuxError("HM_NOT_LINUX", "Hugemend runs on Linux only", {
      present: process.platform,
      expected: "linux",
    });
  }
  if (process.arch === "x64") return x64;
  if (process.arch === "arm64") return arm64;
  throw new LinuxError("HM_ARCHITECTURE", "Hugemend does not know this processor architecture", {
    present: process.arch,
    expected: "x64 or arm64",
  });
}
