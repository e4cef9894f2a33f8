import assert from "node:assert/strict";
import { describe, expectAlive, expectOnlyLost } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { nodesVictim } from "./qemu-options.js";

/**
 * VmFlags that somebody has asked for (proc_pid_smaps(5)); the others tell what kind of memory it is. QEMU asks for `mg` (MERGEABLE)
 * as well, which the kernel ignores for large pages and for shared memory (mm/ksm.c, vma_ksm_compatible).
 */
const asked = ["rd", "wr", "ex", "sh", "dc", "dd", "mg", "wf"];

/** What the host's kernel says about the mapping at an address. */
interface Attributes {
  readonly flags: readonly string[];
  readonly policy: string;
  readonly locked: boolean;
}

/** QEMU asks for as much as it can: both NUMA policies, no core dump, no fork, locked. */
export const vmaAttributes: Scenario = {
  name: "vma-attributes",
  summary:
    "protection, DONTFORK, DONTDUMP, NUMA policy and mlock of QEMU's RAM: the same on the small pages as on the large one",
  victim: nodesVictim,
  async run(lab) {
    const guard = await lab.guard();
    const all = await lab.victim.checker.largePages();
    const border = 96 * 2 ** 20;
    const chosen = [
      all.filter(({ gpa }) => gpa < border).at(0),
      all.filter(({ gpa }) => gpa >= border).at(-1),
    ];
    const bad: number[] = [];
    const seen: string[] = [];
    for (const [number, large] of chosen.entries()) {
      assert.ok(large !== undefined, `the guest program has memory of node ${number}`);
      const before = await attributesAt(lab, large.gpa);
      assert.equal(before.policy, ["bind:0", "interleave:0"][number], "policy of the large page");
      assert.ok(before.flags.includes("dc") && before.flags.includes("dd"), before.flags.join(" "));
      assert.ok(
        !before.flags.includes("mg"),
        "large pages that may be merged: then the small ones must be, too",
      );
      await lab.victim.poison([large.gpa + 4096]);
      assert.equal(await lab.victim.checker.touch(large.index + 2), "ok");
      await guard.waitForCount("recovered", number + 1);
      const after = await attributesAt(lab, large.gpa);
      assert.deepEqual({ ...after, locked: true }, { ...before, locked: true });
      // The kernel does not mark large pages as locked, which never leave memory anyway.
      assert.equal(after.locked, true, "the small pages are locked");
      bad.push(large.gpa + 4096);
      seen.push(`${after.policy} ${after.flags.join(" ")}`);
    }
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    await expectAlive(lab);
    return `${describe(result)}; ${seen.join("; ")}`;
  },
};

async function attributesAt(lab: LabSession, gpa: number): Promise<Attributes> {
  const answer = await lab.victim.monitor(`gpa2hva 0x${gpa.toString(16)}`);
  const hva = BigInt(/ is (0x[0-9a-f]+)/.exec(answer)?.[1] ?? "0");
  const folder = `/proc/${lab.victim.pid}`;
  const smaps = await lab.host.agent.must(`cat ${folder}/smaps`, 60_000);
  let start = "";
  let flags: string[] = [];
  for (const line of smaps.split("\n")) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line) ?? [];
    if (from !== undefined && to !== undefined) {
      if (start !== "" && flags.length > 0) break;
      start = BigInt(`0x${from}`) <= hva && hva < BigInt(`0x${to}`) ? from : "";
    } else if (start !== "" && line.startsWith("VmFlags:")) flags = line.slice(8).trim().split(" ");
  }
  const policies = await lab.host.agent.must(`grep '^${start} ' ${folder}/numa_maps`, 60_000);
  return {
    flags: asked.filter((flag) => flags.includes(flag)),
    policy: policies.split(" ")[1] ?? "",
    locked: flags.includes("lo"),
  };
}
