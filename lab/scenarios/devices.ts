import assert from "node:assert/strict";
import { expectAlive, expectGuestLost, expectRecovered } from "../expect.js";
import { disks, net, roundsMore, startDisk, startNet, stopDisks, stopNet } from "../guest-traffic.js";
import type { LabGuard } from "../lab-guard.js";
import { iommuHost, spareDevice } from "../lab-host.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { loadModules, usualVictim, type VictimConfig } from "../victim-config.js";

/** The bad page's place in its large page, and where traffic begins and how many pages it uses: never the bad one. */
const badPage = 300;
const trafficPage = 8;
const trafficPages = 16;

/** A network card whose packets the kernel's vhost moves, in the name of QEMU but not in one of its threads. */
const vhostNetVictim: VictimConfig = {
  ...usualVictim,
  id: "vhost-net",
  prepare: `${loadModules("tun", "vhost_net")} && mkdir -p /dev/net && { [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; }`,
  extra:
    "-netdev tap,id=net,ifname=tap0,script=no,downscript=no,vhost=on -device virtio-net-pci,netdev=net,romfile=",
};

/** Kernel vhost reads the replacement as QEMU does: through QEMU's page tables. */
export const vhostNet: Scenario = {
  name: "vhost-net",
  onlyInAll: true,
  summary: "packets out of the bad large page through the kernel's vhost: none wrong, and they go on",
  victim: vhostNetVictim,
  async run(lab) {
    const { checker } = lab.victim;
    await lab.host.agent.must("ip addr add 10.9.0.1/24 dev tap0 && ip link set tap0 up", 60_000);
    lab.host.agent.spawn("exec /lab/echo 10.9.0.1");
    const guard = await lab.guard();
    const { bad, index } = await place(lab);
    await startNet(checker, index + trafficPage, trafficPages);
    await roundsMore(() => net(checker), 3);
    await lab.victim.poison([bad]);
    const recovered = await guard.waitForCount("recovered", 1);
    expectRecovered(recovered, [bad]);
    assert.equal(recovered[0]?.["quiesced"], false, "vhost goes through the page tables: no pause is needed");
    await roundsMore(() => net(checker), 5);
    const end = await stopNet(checker);
    assert.deepEqual(
      { wrong: end.wrong, errors: end.errors },
      { wrong: 0, errors: 0 },
      "the guest's packets",
    );
    const seen = await expectGuestLost(lab, [bad]);
    return `${seen}; ${end.rounds * trafficPages} packets there and back, ${end.repeats} repeated, ${end.wrong} wrong`;
  },
};

/** A disk that another process serves out of the guest's RAM. */
const sharersVictim: VictimConfig = {
  ...usualVictim,
  id: "sharers",
  prepare:
    "truncate -s 64M /dev/shm/disk && { qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=/dev/shm/disk " +
    "--export type=vhost-user-blk,id=export,addr.type=unix,addr.path=/run/disk.sock,node-name=disk,writable=on " +
    "> /run/storage-daemon.log 2>&1 & } && while [ ! -S /run/disk.sock ]; do sleep 0.1; done",
  extra: "-chardev socket,id=disk,path=/run/disk.sock -device vhost-user-blk-pci,chardev=disk",
};

/** qemu-storage-daemon, as far as the kernel keeps a name. */
const daemonName = "qemu-storage-da";

/** Other processes that map the RAM: refused before anything is changed. */
export const sharers: Scenario = {
  name: "sharers",
  onlyInAll: true,
  summary:
    "a real vhost-user disk process maps the RAM: warned at attach, refused at the error, its traffic stays right",
  victim: sharersVictim,
  async run(lab) {
    const { checker } = lab.victim;
    const guard = await lab.guard();
    await expectWarning(guard, "HM_RAM_SHARED_WITH_OTHERS", daemonName);
    const { bad, index, base } = await place(lab);
    const far = index < 4096 ? index + 1024 : index - 1024;
    await startDisk(checker, "/dev/vda", far, trafficPages);
    await roundsMore(() => disks(checker), 2);
    const before = await mappings(lab);
    await lab.victim.poison([bad]);
    const result = await checkAround(lab, base);
    const refused = await guard.waitFor("refused");
    assert.equal(refused["code"], "HM_PLAN_SHARED_WITH_OTHERS");
    assert.match(String(refused["message"]), new RegExp(daemonName));
    assert.deepEqual(guard.all("recovered"), []);
    assert.equal(await mappings(lab), before, "mappings of the RAM, before and after");
    await roundsMore(() => disks(checker), 3);
    const end = await stopDisks(checker);
    assert.deepEqual(
      { wrong: end.wrong, lost: end.lost, errors: end.errors },
      { wrong: 0, lost: 0, errors: 0 },
      "the guest's disk data",
    );
    await expectAlive(lab);
    return `${result}; ${String(refused["code"])}; ${end.rounds} rounds of disk I/O, ${end.wrong} wrong`;
  },
};

const device = `/sys/bus/pci/devices/${spareDevice}`;

/** For L1's shell: takes a PCI device from the lab host, so that VFIO can give it to the guest. */
export const lendDevice: string = [
  loadModules("vfio_iommu_type1", "vfio-pci"),
  `{ [ ! -e ${device}/driver ] || echo ${spareDevice} > ${device}/driver/unbind; }`,
  `echo vfio-pci > ${device}/driver_override && echo ${spareDevice} > /sys/bus/pci/drivers_probe`,
  // Without interrupt remapping VFIO wants to be told that the guest is trusted.
  "echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
].join(" && ");

/** A PCI device of the lab host is the guest's own: VFIO holds all of its RAM for it, through a real IOMMU mapping. */
const pinnedVictim: VictimConfig = {
  ...usualVictim,
  id: "pinned",
  host: iommuHost,
  prepare: lendDevice,
  extra: `-device vfio-pci,host=${spareDevice}`,
};

/** Memory that a device may hold. */
export const dmaPinned: Scenario = {
  name: "dma-pinned",
  onlyInAll: true,
  summary:
    "a PCI device is passed through and VFIO holds the RAM: warned at attach, refused at the error, nothing worse than stock",
  victim: pinnedVictim,
  async run(lab) {
    const guard = await lab.guard();
    await expectWarning(guard, "HM_RAM_PINNED", "/dev/vfio/vfio");
    const { bad, base } = await place(lab);
    const before = await mappings(lab);
    await lab.victim.poison([bad]);
    const result = await checkAround(lab, base);
    const refused = await guard.waitFor("refused");
    assert.equal(refused["code"], "HM_PLAN_PINNED");
    assert.match(String(refused["message"]), /\/dev\/vfio\/vfio/);
    assert.deepEqual(guard.all("recovered"), []);
    assert.equal(await mappings(lab), before, "mappings of the RAM, before and after");
    await expectAlive(lab);
    return `${result}; ${String(refused["code"])}`;
  },
};

async function place(lab: LabSession): Promise<{ bad: number; base: number; index: number }> {
  const [large] = await lab.victim.ownLargePages(1);
  if (large === undefined) throw new TypeError("unreachable");
  return { bad: large.gpa + badPage * 4096, base: large.gpa, index: large.index };
}

/** What stock does: losses inside the large page only, nothing corrupt. */
async function checkAround(lab: LabSession, base: number): Promise<string> {
  const touched = new Set<string>();
  const { index } = await place(lab);
  for (const page of [0, badPage, 511]) touched.add(await lab.victim.checker.touch(index + page));
  assert.ok(!touched.has("corrupt"), "corrupt pages");
  const seen = await lab.victim.checker.machineChecks();
  for (const gpa of seen.gpas)
    assert.ok(gpa >= base && gpa < base + 2 ** 21, `machine check outside: ${gpa}`);
  return `pages of the large page: ${[...touched].join(", ")}`;
}

async function expectWarning(guard: LabGuard, code: string, text: string): Promise<void> {
  const warning = await guard.waitFor("warning", 60_000, (event) => event["code"] === code);
  assert.ok(String(warning["message"]).includes(text), `the warning names ${text}: ${warning["message"]}`);
}

async function mappings(lab: LabSession): Promise<string> {
  return lab.host.agent.must(`grep -E "qemu_back_mem|hugemend" /proc/${lab.victim.pid}/maps`);
}
