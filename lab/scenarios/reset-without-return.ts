import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { LabGuard } from "../lab-guard.js";
import { iommuHost, spareDevice } from "../lab-host.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";
import { lendDevice } from "./devices.js";
import { expectWhole, overlays, poisonOne, reboot } from "./pause-and-reset.js";

/** Which 4 KiB of the large page goes bad. */
const badPage = 256;

const codes = (guard: LabGuard): unknown[] => guard.all("warning").map((event) => event["code"]);

/** Nobody tells the guard of the reset. */
export const resetWithoutMonitor: readonly Scenario[] = ["uffd", "hwpoison"].map((method) => ({
  name: method === "uffd" ? "reset-without-monitor" : "reset-without-monitor-hwpoison",
  onlyInAll: true,
  summary: `a guard without --qmp, lost pages marked with ${method}: the guest is reset, and nothing is lost to the one that starts anew`,
  victim: usualVictim,
  async run(lab): Promise<string> {
    const guard = await lab.guardWithoutMonitor(["--poison-with", method]);
    await poisonOne(lab, badPage);
    await guard.waitFor("recovered");
    await reboot(lab);
    await expectWhole(lab, "after the reset");
    assert.equal(await overlays(lab), 1, "replaced large pages: no VM is paused without a monitor");
    assert.deepEqual(codes(guard), ["HM_QMP_NONE", "HM_HEAL_NO_QMP"]);
    return "one large page stayed small with nothing lost";
  },
}));

/** Another process maps the RAM when the guest is reset, but not when the page went bad. */
export const resetShared: Scenario = {
  name: "reset-shared",
  onlyInAll: true,
  summary:
    "a process that maps the RAM since the recovery: after a reset nothing is lost; it ends, and the next reset brings the large page back",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    await poisonOne(lab, badPage);
    await guard.waitFor("recovered");
    const sharer = await mapRam(lab);
    await reboot(lab);
    await guard.waitFor("warning", 60_000, (event) => event["code"] === "HM_HEAL_SHARED");
    await expectWhole(lab, "after the reset");
    assert.equal(await overlays(lab), 1, "replaced large pages");
    assert.ok(codes(guard).includes("HM_RAM_FILE_STALE"), "the other process is warned of");
    assert.equal(codes(guard).filter((code) => code === "HM_HEAL_SHARED").length, 1, "told once");
    sharer.kill(9);
    await sharer.wait(10_000);
    await reboot(lab);
    await guard.waitFor("healed");
    assert.equal(await overlays(lab), 0, "replaced large pages after the second reset");
    await expectWhole(lab, "after the second reset");
    return `nothing lost; warned: ${[...new Set(codes(guard))].join(", ")}`;
  },
};

/** The guard is dead at the reset; the next one comes while the guest boots. */
export const resetWhileDead: Scenario = {
  name: "reset-while-dead",
  onlyInAll: true,
  summary:
    "the guard is killed, the guest is reset, and then another guard comes: the large page is back and nothing lost",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    await poisonOne(lab, badPage);
    await guard.waitFor("recovered");
    guard.kill(9);
    await guard.ended();
    // Held at its first instruction, so that the guest meets nothing before the guard is there.
    await lab.victim.qmp.execute("stop");
    await lab.victim.qmp.execute("system_reset");
    await sleep(500);
    const heir = await lab.guard();
    await heir.waitFor("healed");
    await reboot(lab, "cont");
    await expectWhole(lab, "after the reset");
    assert.equal(await overlays(lab), 0, "replaced large pages");
    return "a reset that no guard has seen: the large page came back";
  },
};

/** A device is given to the guest while a large page is replaced: it holds the small pages. */
export const resetPinned: Scenario = {
  name: "reset-pinned",
  onlyInAll: true,
  summary:
    "a PCI device is passed through to a VM with a replaced large page: a reset leaves the small pages where the device has them",
  victim: { ...usualVictim, id: "pinned-later", machine: "pc", host: iommuHost, prepare: lendDevice },
  async run(lab) {
    const guard = await lab.guard();
    await poisonOne(lab, badPage);
    await guard.waitFor("recovered");
    const pool = await takePool(lab);
    await reboot(lab);
    await guard.waitFor("warning", 60_000, (event) => event["code"] === "HM_HEAL_POOL_EMPTY");
    await lab.victim.qmp.execute("device_add", { driver: "vfio-pci", host: spareDevice, id: "held" });
    await lab.host.agent.must(`echo ${pool} > /proc/sys/vm/nr_hugepages`, 60_000);
    await reboot(lab);
    await guard.waitFor("warning", 60_000, (event) => event["code"] === "HM_HEAL_PINNED");
    assert.equal(await overlays(lab), 1, "replaced large pages, with the device and a page in the pool");
    assert.deepEqual(guard.all("healed"), []);
    await expectWhole(lab, "after the second reset");
    return `${codes(guard).join(", ")}`;
  },
};

/** Empties the pool of large pages. @returns how many it had */
async function takePool(lab: LabSession): Promise<string> {
  const pool = (await lab.host.agent.must("cat /proc/sys/vm/nr_hugepages")).trim();
  await lab.host.agent.must("echo 0 > /proc/sys/vm/nr_hugepages", 60_000);
  return pool;
}

/** Starts a process that maps a large page of the RAM file, and waits until it has. */
async function mapRam(lab: LabSession): Promise<ReturnType<LabSession["host"]["agent"]["spawn"]>> {
  const program = [
    'import koffi from "/opt/hugemend/node_modules/koffi/index.js";',
    'import { openSync, readdirSync, readlinkSync } from "node:fs";',
    `const folder = "/proc/${lab.victim.pid}/fd/";`,
    'const name = readdirSync(folder).find((fd) => { try { return readlinkSync(folder + fd).includes("qemu_back_mem"); } catch { return false; } });',
    'const mmap = koffi.load("libc.so.6").func("void *mmap(void *a, size_t n, int p, int f, int fd, long o)");',
    'console.log("mapped", mmap(null, 2097152, 3, 1, openSync(folder + name, "r+"), 0) !== null);',
    "setInterval(() => {}, 1000);",
  ].join("\n");
  const sharer = lab.host.agent.spawn(
    `cat > /run/sharer.mjs <<'END'\n${program}\nEND\nexec node /run/sharer.mjs`,
  );
  await sharer.out.wait("the other process's mapping", (line) => line === "mapped true", 60_000);
  return sharer;
}
