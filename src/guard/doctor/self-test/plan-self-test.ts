/** Whether the self-test may poison a page, which, and what that costs. Pure. */

import type { HugepagePool } from "../../../linux/procfs/hugepages.js";
import type { KernelOption } from "../../../linux/procfs/kernel-config.js";
import { formatBytes } from "../finding.js";
import { unpromised } from "../judge-host.js";

/** All that it depends on. */
export interface SelfTestFacts {
  readonly memoryFailure: Pick<KernelOption, "enabled">;
  /** vm.memory_failure_recovery */
  readonly recoverySysctl: number | undefined;
  readonly pools: readonly HugepagePool[];
  readonly availableBytes: number;
  /** CAP_SYS_ADMIN. */
  readonly mayPoison: boolean;
  readonly initialUserNamespace: boolean;
}

/** What a recovery leaves to the rest of the machine (recovery/plan.ts). */
const SPARE_BYTES = 64 * 1024 * 1024;

/** @returns the size of the large page to take, in bytes, or why none is */
export function planSelfTest(
  facts: SelfTestFacts,
): { readonly pageSize: number } | { readonly unsupported: string } {
  if (facts.memoryFailure.enabled !== true || facts.recoverySysctl === undefined)
    return { unsupported: "the kernel was built without CONFIG_MEMORY_FAILURE" };
  // The kernel would panic (mm/memory-failure.c).
  if (facts.recoverySysctl === 0) return { unsupported: "vm.memory_failure_recovery is 0" };
  if (!facts.mayPoison) return { unsupported: "this process has no CAP_SYS_ADMIN: run it as root" };
  if (!facts.initialUserNamespace)
    return { unsupported: "this process lives in a user namespace of its own: run it on the host itself" };
  const pageSize = facts.pools.find((pool) => unpromised(pool) > 0)?.pageSize;
  if (pageSize === undefined)
    return { unsupported: "no large page is free and promised to nobody: raise vm.nr_hugepages by one" };
  const needed = pageSize + SPARE_BYTES;
  if (facts.availableBytes >= needed) return { pageSize };
  const { availableBytes } = facts;
  return {
    unsupported: `reading it back needs ${formatBytes(needed)} of memory, ${formatBytes(availableBytes)} are available`,
  };
}

/** @param pageSize bytes of the large page @returns what it is about to cost, for people */
export function costOf(pageSize: number): string {
  return [
    `The self-test poisons 4 KiB of a free large page of ${formatBytes(pageSize)}: the pool is short of that page while it runs, the kernel log and`,
    "whoever watches memory errors will report one. Without the module hwpoison-inject both stay out of use until the next boot.",
  ].join(" ");
}
