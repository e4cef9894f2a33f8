/** What the lab host's kernel says of its large pages. */

import assert from "node:assert/strict";
import type { LabSession } from "./lab-session.js";

/** include/uapi/linux/kernel-page-flags.h */
const KPF_HUGE = 17;

/** The pool of large pages, and memory that the kernel has given up. */
export interface Pool {
  readonly total: number;
  readonly free: number;
  readonly reserved: number;
  readonly surplus: number;
  readonly corruptedKb: number;
}

/**
 * The pool of the default size. A bad large page does not come back to it when it leaves its file: the kernel keeps its reference to it
 * (mm/memory-failure.c try_memory_failure_hugetlb), with a guard or without. It counts as bad only the 4 KiB.
 */
export async function poolOf(lab: LabSession): Promise<Pool> {
  const text = await lab.host.agent.must("cat /proc/meminfo", 60_000);
  return {
    total: numberIn(text, "HugePages_Total"),
    free: numberIn(text, "HugePages_Free"),
    reserved: numberIn(text, "HugePages_Rsvd"),
    surplus: numberIn(text, "HugePages_Surp"),
    corruptedKb: numberIn(text, "HardwareCorrupted"),
  };
}

/**
 * Asks the kernel page by page (/proc/kpageflags, Documentation/admin-guide/mm/pagemap.rst).
 *
 * @param first frame of a large page @param frames how many it has
 * @returns how many of them belong to a large page still: whatever the kernel has freed does not
 */
export async function framesKept(lab: LabSession, first: number, frames: number): Promise<number> {
  const program = [
    'const { openSync, readSync } = require("fs");',
    `const flags = Buffer.alloc(${frames * 8});`,
    `readSync(openSync("/proc/kpageflags"), flags, 0, flags.length, ${first * 8});`,
    "let kept = 0;",
    `for (let at = 0; at < flags.length; at += 8) if ((flags.readBigUInt64LE(at) >> ${KPF_HUGE}n) & 1n) kept += 1;`,
    "console.log(kept);",
  ].join(" ");
  return Number(await lab.host.agent.must(`node -e '${program}'`, 60_000));
}

function numberIn(text: string, name: string): number {
  const found = new RegExp(`^${name}: *(\\d+)`, "m").exec(text)?.[1];
  assert.ok(found !== undefined, `${name} in /proc/meminfo`);
  return Number(found);
}
