/** The guest program's disk I/O and network traffic under load (`lab/guest/checker-disk.c`, `lab/guest/checker-net.c`). */

import type { Checker } from "./checker.js";

/** What all disk workers together have seen since they were started. */
export interface DiskTally {
  /** Rounds of write, read back and compare. */
  readonly rounds: number;
  /** Requests that failed. */
  readonly errors: number;
  /** Rounds that read back something else than was written. */
  readonly wrong: number;
  /** Workers whose own memory was lost. */
  readonly lost: number;
}

/** What the network worker has seen since it was started. */
export interface NetTally {
  /** Rounds through all its pages. */
  readonly rounds: number;
  /** Datagrams that had to be sent again. */
  readonly repeats: number;
  /** Answers that differ from what was sent. */
  readonly wrong: number;
  /** Datagrams that could not be sent. */
  readonly errors: number;
}

const STOP_MS = 60_000;

/**
 * Starts a worker that goes on until `stopDisks`.
 *
 * @param device in the guest, such as `/dev/vda`
 * @param page first page of the guest program's block that it uses @param count how many: the size of its requests
 */
export async function startDisk(
  checker: Checker,
  device: string,
  page: number,
  count: number,
): Promise<void> {
  await checker.ask(`disk ${device} ${page} ${count}`, "disk started");
}

/** One write, from pages that the guest program does not touch meanwhile. @returns whether it went well */
export async function sendPages(
  checker: Checker,
  device: string,
  page: number,
  count: number,
): Promise<boolean> {
  return (await checker.ask(`send ${device} ${page} ${count}`, "sent ")).trim() === "ok";
}

/** How it goes. */
export async function disks(checker: Checker): Promise<DiskTally> {
  return diskTally(await checker.ask("disks", "disks "));
}

/** Ends all workers; their pages hold the block's pattern again. */
export async function stopDisks(checker: Checker): Promise<DiskTally> {
  return diskTally(await checker.ask("disks 1", "disks ", STOP_MS));
}

/** Starts the network worker. @param page first page of the block that it sends from @param count how many */
export async function startNet(checker: Checker, page: number, count: number): Promise<void> {
  await checker.ask(`net ${page} ${count}`, "net started");
}

/** How it goes. */
export async function net(checker: Checker): Promise<NetTally> {
  return netTally(await checker.ask("nets", "nets "));
}

/** Ends the worker. */
export async function stopNet(checker: Checker): Promise<NetTally> {
  return netTally(await checker.ask("nets 1", "nets ", STOP_MS));
}

/** Waits until a tally has so many rounds more. @param look asks for it @throws Error when that takes too long */
export async function roundsMore<Tally extends { readonly rounds: number }>(
  look: () => Promise<Tally>,
  more: number,
  timeoutMs = 60_000,
): Promise<Tally> {
  const until = Date.now() + timeoutMs;
  const { rounds } = await look();
  for (;;) {
    const now = await look();
    if (now.rounds >= rounds + more) return now;
    if (Date.now() > until) throw new Error(`The guest's I/O stands still: ${JSON.stringify(now)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

function diskTally(text: string): DiskTally {
  const field = fields(text);
  return { rounds: field("rounds"), errors: field("errors"), wrong: field("wrong"), lost: field("lost") };
}

function netTally(text: string): NetTally {
  const field = fields(text);
  return {
    rounds: field("rounds"),
    repeats: field("repeats"),
    wrong: field("wrong"),
    errors: field("errors"),
  };
}

function fields(text: string): (name: string) => number {
  return (name) => {
    const found = text.match(new RegExp(`${name}=(\\d+)`))?.[1];
    if (found === undefined) throw new TypeError(`The guest's answer has no ${name}: ${text}`);
    return Number(found);
  };
}
