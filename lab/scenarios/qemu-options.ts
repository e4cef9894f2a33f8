import assert from "node:assert/strict";
import { expectAlive, expectLoss, expectOnlyLost, expectRecovered } from "../expect.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { filledMib, filledPages, usualVictim, type VictimConfig } from "../victim-config.js";

/** Two backends of different kinds, one for each NUMA node, bound to a host node, kept out of core dumps, all memory locked. */
export const nodesVictim: VictimConfig = {
  ...usualVictim,
  id: "nodes",
  memory: [
    "-m 256M -overcommit mem-lock=on",
    "-object memory-backend-file,id=ram0,size=96M,mem-path=/dev/hugepages,share=on,prealloc=on,dump=off,host-nodes=0,policy=bind",
    "-object memory-backend-memfd,id=ram1,size=160M,hugetlb=on,hugetlbsize=2M,share=on,dump=off,host-nodes=0,policy=interleave",
    "-numa node,memdev=ram0,cpus=0 -numa node,memdev=ram1",
  ].join(" "),
};

/**
 * The old machine type, four virtual CPUs of a named AMD model, RAM that is populated at its first touch. The model alone lacks two
 * features that `-cpu host` has; without them a guest that was told of an untouched error panics when it then touches the page,
 * because the second record overflows its bank (with stock QEMU alone as well).
 */
const pcVictim: VictimConfig = {
  ...usualVictim,
  id: "pc",
  machine: "pc",
  cpu: "EPYC,overflow-recov=on,succor=on",
  vcpus: 4,
  memory:
    "-m 256M -object memory-backend-memfd,id=ram,size=256M,hugetlb=on,hugetlbsize=2M,share=on,prealloc=off -machine memory-backend=ram",
};

/** An Intel model's features; the vendor stays the host's, as KVM has it. With Intel's, a guest on an AMD host panics at any error it is told of. */
const intelVictim: VictimConfig = { ...usualVictim, id: "intel", cpu: "Skylake-Server" };

/** One bad page in each RAM file. */
export const qemuOptions: Scenario = {
  name: "qemu-options",
  onlyInAll: true,
  summary:
    "two memory backends on two NUMA nodes, memory locked: one bad 4 KiB in each, exactly these are lost",
  victim: nodesVictim,
  async run(lab) {
    const guard = await lab.guard();
    const all = await lab.victim.checker.largePages();
    const border = 96 * 2 ** 20;
    const low = all.filter(({ gpa }) => gpa < border).at(0);
    const high = all.filter(({ gpa }) => gpa >= border).at(-1);
    assert.ok(low !== undefined && high !== undefined, "the guest program has memory of both nodes");
    const bad = [low.gpa + 3 * 4096, high.gpa + 400 * 4096];
    return recoverAll(lab, guard, bad);
  },
};

/** Another machine, other processors. */
export const qemuOptionsPc: Scenario = {
  name: "qemu-options-pc",
  onlyInAll: true,
  summary: "-machine pc, four vCPUs, an AMD model, prealloc=off: exactly one page is lost",
  victim: pcVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    return recoverAll(lab, guard, bad, 4);
  },
};

/**
 * An Intel model on an AMD host. The emulated AMD virtualization never delivers the exception by which QEMU tells an Intel guest of
 * an untouched error (with stock QEMU alone as well). Its record stays in the guest's bank, so a second one overflows it, which ends
 * a guest of Intel's. So the lost page itself is not touched here.
 */
export const qemuOptionsIntel: Scenario = {
  name: "qemu-options-intel",
  onlyInAll: true,
  summary:
    "-cpu Skylake-Server: every page but the bad one is intact, and QEMU has told the guest of that one",
  victim: intelVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = (large?.gpa ?? 0) + 256 * 4096;
    await lab.victim.poison([bad]);
    const result = await lab.victim.checker.check(1, 120_000, (large?.index ?? 0) + 256);
    // The page that is left out counts as intact.
    expectOnlyLost(result, []);
    expectRecovered(await guard.waitForCount("recovered", 1), [bad]);
    assert.deepEqual(await lab.victim.injected(), { ar: 0, ao: 1 });
    await expectAlive(lab);
    return `${result.ok - 1} intact, 1 lost and not touched, ${result.corrupt} corrupt`;
  },
};

async function recoverAll(
  lab: LabSession,
  guard: Awaited<ReturnType<LabSession["guard"]>>,
  bad: readonly number[],
  threads = 1,
): Promise<string> {
  await lab.victim.poison(bad);
  return expectLoss(lab, guard, bad, { recoveries: bad.length, threads });
}

/** A slot for memory that is plugged in while the guest runs. The guest's kernel gives it to programs before any other. */
const dimmVictim: VictimConfig = {
  ...usualVictim,
  id: "dimm",
  guestArguments: "memhp_default_state=online_movable",
  memory: [
    "-m 256M,slots=2,maxmem=1G -machine memory-backend=ram",
    "-object memory-backend-memfd,id=ram,size=256M,hugetlb=on,hugetlbsize=2M,share=on,prealloc=on",
  ].join(" "),
};

const GIB = 2 ** 30;
/** Where the machine puts pluggable memory: above 4 GiB, aligned to 1 GiB (QEMU: hw/i386/pc.c, pc_get_device_memory_range). */
const firstDimm = 4 * GIB;

/** The guard was there before the memory. */
export const qemuOptionsDimm: Scenario = {
  name: "qemu-options-dimm",
  onlyInAll: true,
  summary: "memory that was plugged in after the guard had attached goes bad: exactly one page is lost",
  victim: dimmVictim,
  async run(lab) {
    const guard = await lab.guard();
    const { qmp, checker } = lab.victim;
    await qmp.execute("object-add", {
      "qom-type": "memory-backend-memfd",
      ...{ id: "ram1", size: 2 ** 27, hugetlb: true, hugetlbsize: 2 ** 21, share: true },
    });
    await qmp.execute("device_add", { driver: "pc-dimm", id: "dimm1", memdev: "ram1" });
    await qmp.event("ACPI_DEVICE_OST", 60_000);
    assert.equal(await checker.fill(filledMib), filledPages);
    const large = (await checker.largePages()).find(({ gpa }) => gpa >= firstDimm);
    assert.ok(large !== undefined, "the guest program has memory of the new DIMM");
    return recoverAll(lab, guard, [large.gpa + 9 * 4096]);
  },
};
