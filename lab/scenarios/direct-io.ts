import assert from "node:assert/strict";
import { expectGuestLost, expectRecovered } from "../expect.js";
import { disks, roundsMore, startDisk, stopDisks } from "../guest-traffic.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { loadModules, usualVictim, type VictimConfig } from "../victim-config.js";

/**
 * How long each read takes, in milliseconds: longer than a recovery under emulation, so that some are always on their way into the
 * page that is replaced. Without a pause they would end in the old one.
 */
const READ_MS = 2000;

function slowDisk(number: number): string {
  const file = `/dev/shm/disk${number}`;
  const table = `0 131072 delay /dev/loop${number} 0 ${READ_MS} /dev/loop${number} 0 0`;
  return `truncate -s 64M ${file} && losetup /dev/loop${number} ${file} && echo "${table}" | DM_DISABLE_UDEV=1 dmsetup create slow${number}`;
}

function drive(number: number, aio: string): string {
  return (
    `-drive if=none,id=disk${number},file=/dev/mapper/slow${number},format=raw,cache=none,aio=${aio} ` +
    `-device virtio-blk-pci,drive=disk${number}`
  );
}

/** Two disks whose I/O goes straight from and to guest memory: Linux AIO and io_uring, both O_DIRECT. */
export const directIoVictim: VictimConfig = {
  ...usualVictim,
  id: "direct-io",
  prepare: [loadModules("loop", "dm-delay"), slowDisk(0), slowDisk(1)].join(" && "),
  extra: `${drive(0, "native")} ${drive(1, "io_uring")}`,
};

/** Pages of each worker, from page 8 of the large page on; the bad page is behind all of them. */
export const workers = 8;
const pagesEach = 16;
/** See {@link workers}. */
export const badPage = 300;

/** `auto` with direct I/O in flight: not one wrong byte. */
export const quiesceAuto: Scenario = {
  name: "quiesce-auto",
  onlyInAll: true,
  summary:
    "Linux AIO and io_uring write and read checked data in the bad large page: paused, no byte wrong, no request fails afterwards",
  victim: directIoVictim,
  async run(lab) {
    const { checker } = lab.victim;
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    if (large === undefined) throw new TypeError("unreachable");
    const bad = [large.gpa + badPage * 4096];
    await startWorkers(lab, large.index + 8);
    await roundsMore(() => disks(checker), workers);
    await lab.victim.poison(bad);
    const recovered = await guard.waitForCount("recovered", 1);
    expectRecovered(recovered, bad);
    assert.equal(recovered[0]?.["quiesced"], true, "the VM was paused for it");
    const after = await disks(checker);
    const later = await roundsMore(() => disks(checker), 2 * workers);
    const end = await stopDisks(checker);
    assert.deepEqual({ wrong: end.wrong, lost: end.lost }, { wrong: 0, lost: 0 }, "the guest's disk data");
    assert.equal(end.errors, after.errors, "requests that failed after the recovery");
    assert.equal(await lab.victim.qmp.status(), "running", "state of the VM afterwards");
    const seen = await expectGuestLost(lab, bad);
    return `${seen}; ${end.rounds} rounds of disk I/O, ${after.errors} requests failed before the swap, ${later.errors - after.errors} after, ${end.wrong} wrong`;
  },
};

/** Starts all workers in a large page. @param from index of the first page */
export async function startWorkers(lab: LabSession, from: number): Promise<void> {
  for (let worker = 0; worker < workers; worker += 1) {
    const device = worker % 2 === 0 ? "/dev/vda" : "/dev/vdb";
    await startDisk(lab.victim.checker, device, from + worker * pagesEach, pagesEach);
  }
}
