/** The whole examination: platform, host, and one process when asked for. Reads only, but for the self-test. */

import { salvageSupport } from "../../linux/procfs/kernel-version.js";
import { type Diagnosis, diagnose } from "./finding.js";
import { collectHostFacts } from "./host-facts.js";
import { judgeHost, judgePlatform } from "./judge-host.js";
import { judgeVm } from "./judge-vm.js";
import { judgeSelfTest } from "./self-test/judge-self-test.js";
import { selfTest } from "./self-test/self-test.js";
import { collectVmFacts } from "./vm-facts.js";

/**
 * @param pid the process to look at; undefined for the host alone
 * @param announceSelfTest asks for a self-test, and is told in a sentence what it is about to cost; not called when it cannot be made
 * @returns what was found
 * @throws LinuxError HM_NO_SUCH_PROCESS, HM_BAD_PID when the pid names no process; HM_PROC_… when the kernel's files
 *   do not read as documented
 */
export async function examine(
  pid: number | undefined,
  announceSelfTest?: (cost: string) => void,
): Promise<Diagnosis> {
  const platform = judgePlatform({ os: process.platform, arch: process.arch });
  // Nothing below can be read on another system.
  if (process.platform !== "linux" || platform.severity === "blocker") return diagnose([platform]);
  // The process first: a pid that is wrong is worth no other finding.
  const vm = pid === undefined ? undefined : collectVmFacts(pid);
  const host = await collectHostFacts();
  const about = [platform, ...judgeHost(host)];
  const vmFindings = vm === undefined ? [] : judgeVm(vm, host.pools);
  if (announceSelfTest === undefined) return diagnose([...about, ...vmFindings]);
  const test = await selfTest(host, announceSelfTest);
  const table = salvageSupport(host.release);
  const finding = judgeSelfTest(test, table, host.release.text);
  const { verdict } = test;
  return {
    ...diagnose([...about, finding, ...vmFindings]),
    selfTest: { verdict, table, agrees: verdict === "unsupported" ? null : verdict === table },
  };
}
