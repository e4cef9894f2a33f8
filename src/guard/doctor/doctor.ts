/** The whole examination: platform, host, and one process when asked for. Reads only. */

import { type Diagnosis, diagnose } from "./finding.js";
import { collectHostFacts } from "./host-facts.js";
import { judgeHost, judgePlatform } from "./judge-host.js";
import { judgeVm } from "./judge-vm.js";
import { collectVmFacts } from "./vm-facts.js";

/**
 * @param pid the process to look at; undefined for the host alone
 * @returns what was found
 * @throws LinuxError HM_NO_SUCH_PROCESS, HM_BAD_PID when the pid names no process; HM_PROC_… when the kernel's files
 *   do not read as documented
 */
export async function examine(pid: number | undefined): Promise<Diagnosis> {
  const platform = judgePlatform({ os: process.platform, arch: process.arch });
  // Nothing below can be read on another system.
  if (process.platform !== "linux" || platform.severity === "blocker") return diagnose([platform]);
  // The process first: a pid that is wrong is worth no other finding.
  const vm = pid === undefined ? undefined : collectVmFacts(pid);
  const host = await collectHostFacts();
  return diagnose([platform, ...judgeHost(host), ...(vm === undefined ? [] : judgeVm(vm, host.pools))]);
}
