/** Whether the kernel tells QEMU of errors nobody has touched: not while a guard keeps them from it (decision 0023). */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { untilUntraced } from "../framework/process-state.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { waitUntil } from "../framework/wait-until.js";
import { acquire } from "../hugepages.js";
import { StockQemu } from "./qmp-stock-qemu.js";

const MEBIBYTES = 16;
const args = [
  ...["-machine", "q35,memory-backend=ram0", "-m", `${MEBIBYTES}M`, "-smp", "2", "-object", "iothread,id=io"],
  "-object",
  `memory-backend-memfd,id=ram0,size=${MEBIBYTES}M,hugetlb=on,hugetlbsize=2M,share=on,prealloc=on`,
];
/** PF_MCE_PROCESS, PF_MCE_EARLY: include/linux/sched.h. */
const CHOSEN = 0x80;
const EARLY = 0x0800_0000;

/** What each thread has chosen, by its flags (field 9 of proc_pid_stat(5)). */
function policies(pid: number): ReadonlyMap<number, "early" | "late" | "default"> {
  const entries = readdirSync(`/proc/${pid}/task`).map((tid) => {
    const text = readFileSync(`/proc/${pid}/task/${tid}/stat`, "latin1");
    const flags = Number(text.slice(text.lastIndexOf(") ") + 2).split(" ")[6]);
    const policy = (flags & CHOSEN) === 0 ? "default" : (flags & EARLY) === 0 ? "late" : "early";
    return [Number(tid), policy] as const;
  });
  return new Map(entries);
}

/** Waits until every thread that has chosen has chosen this. */
async function untilAll(pid: number, wanted: "early" | "late"): Promise<void> {
  await waitUntil(`threads that are all "${wanted}"`, () => {
    const chosen = [...policies(pid).values()].filter((policy) => policy !== "default");
    return chosen.length > 0 && chosen.every((policy) => policy === wanted) ? true : undefined;
  });
}

describe("the kernel's policy for QEMU's threads", () => {
  it("is late while a guard is there, and early again when it ends", async () => {
    await using _pages = await acquire(MEBIBYTES / 2);
    await using qemu = await StockQemu.start({ args });
    const pid = qemu.child.pid ?? 0;
    using ledger = new TemporaryFolder();
    const input = { pid, ledger: ledger.path, qmp: qemu.socket() };
    assert.equal(policies(pid).get(pid), "early", "QEMU's main thread asks for early signals");
    const before = policies(pid);
    {
      await using guard = await GuardProcess.start({ ...input, lossRoute: "monitor" });
      await untilAll(pid, "late");
      await guard.stop();
    }
    await untilAll(pid, "early");
    {
      await using guard = await GuardProcess.start({ ...input, lossRoute: "monitor" });
      await untilAll(pid, "late");
      await guard.murder();
    }
    await untilUntraced(pid);
    await untilAll(pid, "late");
    {
      await using heir = await GuardProcess.start({ ...input, lossRoute: "monitor" });
      await untilAll(pid, "late");
      await heir.stop();
    }
    await untilAll(pid, "early");
    const after = policies(pid);
    for (const [tid, policy] of before) assert.equal(after.get(tid) ?? policy, policy, `thread ${tid}`);
  });

  it("is left alone where QEMU may know of lost pages, and given back what a dead guard has left", async () => {
    await using _pages = await acquire(MEBIBYTES / 2);
    await using qemu = await StockQemu.start({ args });
    const pid = qemu.child.pid ?? 0;
    using ledger = new TemporaryFolder();
    const input = { pid, ledger: ledger.path, qmp: qemu.socket() };
    {
      await using guard = await GuardProcess.start({ ...input, lossRoute: "signal" });
      await untilAll(pid, "early");
      await guard.stop();
    }
    await untilAll(pid, "early");
    {
      await using guard = await GuardProcess.start({ ...input, lossRoute: "monitor" });
      await untilAll(pid, "late");
      await guard.murder();
    }
    await untilUntraced(pid);
    await using heir = await GuardProcess.start({ ...input, lossRoute: "signal" });
    await untilAll(pid, "early");
    await heir.stop();
  });
});
