/** What a VM in the lab does all day: its guest computes, and reads and writes its disk. What pieces of that take. */

import { readdirSync, readFileSync } from "node:fs";
import { disks, startDisk, stopDisks } from "./guest-traffic.js";
import type { LabSession } from "./lab-session.js";

const SIGTERM = 15;
const MILLISECOND = 1_000_000;
/** One piece of computing: the guest reads and compares its 64 MiB. */
const CPU_PIECES = 20;
/** One piece of disk I/O is what fits into this time. */
const DISK_PIECE_MS = 500;
const DISK_PIECES = 8;
/** A small page of the guest's block, written, read back and compared again and again. */
const DISK_PAGE = 100;
/** A guard that has just come looks around, here for some ten seconds: 12 % of the processor in the first eight, 0.1 % after sixteen. */
const SETTLE_MS = 15_000;

/**
 * Milliseconds of this machine's processor that the lab host's one emulated processor has used for a piece of work, whoever in there
 * used it: guest, QEMU, kernel or guard. This machine's other work, which a clock on the wall would measure too, is not in it.
 */
export interface SteadyPieces {
  /** All of the guest's 64 MiB read and compared. */
  readonly cpu: readonly number[];
  /** 4 KiB written to the disk, read back and compared: the mean of a piece. */
  readonly disk: readonly number[];
}

/**
 * @param lab with a victim that has a disk
 * @throws Error if the guest reads back a wrong byte, or a request fails
 */
export async function steadyPieces(lab: LabSession): Promise<SteadyPieces> {
  const { checker } = lab.victim;
  const used = processorClock(lab.host.emulator);
  const cpu: number[] = [];
  for (let piece = 0; piece < CPU_PIECES; piece += 1) {
    const before = used();
    const { lost, corrupt } = await checker.check();
    cpu.push(used() - before);
    if (lost + corrupt > 0) throw new Error(`the guest lost ${lost} pages, and ${corrupt} are wrong`);
  }
  await startDisk(checker, "/dev/vda", DISK_PAGE, 1);
  const disk: number[] = [];
  let last = { rounds: (await disks(checker)).rounds, used: used() };
  for (let piece = 0; piece < DISK_PIECES; piece += 1) {
    await new Promise((done) => setTimeout(done, DISK_PIECE_MS));
    const now = { rounds: (await disks(checker)).rounds, used: used() };
    disk.push((now.used - last.used) / (now.rounds - last.rounds));
    last = now;
  }
  const { errors, wrong } = await stopDisks(checker);
  if (errors + wrong > 0)
    throw new Error(`${errors} disk requests of the guest failed, ${wrong} gave wrong bytes`);
  return { cpu, disk };
}

/** The same while a guard holds the VM, which then lets it go. */
export async function guardedPieces(lab: LabSession): Promise<SteadyPieces> {
  const guard = await lab.guard();
  await new Promise((done) => setTimeout(done, SETTLE_MS));
  const pieces = await steadyPieces(lab);
  guard.kill(SIGTERM);
  await guard.ended();
  return pieces;
}

/**
 * @param emulator with one processor, which its busiest thread emulates
 * @returns tells how long that has run, in milliseconds (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat)
 */
function processorClock(emulator: number): () => number {
  const folder = `/proc/${emulator}/task`;
  const run = (tid: string): number =>
    Number(readFileSync(`${folder}/${tid}/schedstat`, "latin1").split(" ")[0]) / MILLISECOND;
  let busiest = { tid: String(emulator), ms: 0 };
  for (const tid of readdirSync(folder)) {
    try {
      const ms = run(tid);
      if (ms > busiest.ms) busiest = { tid, ms };
    } catch {
      // A worker that has ended in the meantime.
    }
  }
  return () => run(busiest.tid);
}
