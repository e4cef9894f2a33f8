/**
 * The real guard on a victim whose poison is a userfaultfd marker. Differs from `hugemend guard` in what a machine without
 * bad memory needs: BUS_ADRERR counts as BUS_MCEERR_AR (what a kernel without CONFIG_MEMORY_FAILURE says at a marker), chosen
 * 4 KiB pages can be called lost, and at a named point of the walk it can end itself, block, send a signal to the victim, or take a
 * large page away.
 *
 *   node guard-driver.js '{"pid":…,"ledger":"…","lost":[0,4096],"killAt":"swapped","killAfter":1}'
 */

import { closeSync, existsSync, openSync } from "node:fs";
import type { Guard } from "../../../src/guard/guard.js";
import { openGuard } from "../../../src/guard/open-guard.js";
import type { PublicEvent } from "../../../src/ledger/events.js";
import { BUS_MCEERR_AR } from "../../../src/linux/signal-info.js";
import { systemCall } from "../../../src/linux/system-call.js";
import { driverOptions } from "./driver-options.js";

const BUS_ADRERR = 2;
const options = driverOptions(process.argv[2]);
const memory = options.readFrom === "" ? undefined : openSync(`/proc/${options.pid}/mem`, "r");
const pending = [...options.signals];
const nobody = new Int32Array(new SharedArrayBuffer(4));
let seen = 0;

function sendSignals(step: string): void {
  for (let next = pending[0]; next?.step === step; next = pending[0]) {
    pending.shift();
    process.kill(options.pid, next.signal);
  }
}

function takePage(step: string): void {
  const { takePage: page } = options;
  if (page?.step !== step || existsSync(page.file)) return;
  const fd = openSync(page.file, "w+");
  systemCall("fallocate", fd, 0, 0, page.size);
  closeSync(fd);
}

let guard: Guard | undefined;

function tell(event: PublicEvent): void {
  // As in the command: whoever has read `ready` may send a signal at once.
  if (event.event === "ready") {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => void guard?.stop(name));
  }
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

guard = await openGuard({
  pid: options.pid,
  qmp: options.qmp,
  ledger: options.ledger,
  quiesce: options.quiesce,
  fill: options.fill,
  fillRate: options.fillRate ?? Number.POSITIVE_INFINITY,
  whenShort: options.whenShort,
  giveBack: options.giveBack,
  sink: tell,
  trial: {
    ...(options.lossRoute === undefined ? {} : { lossRoute: options.lossRoute }),
    interpret: (error) => (error.code === BUS_ADRERR ? { ...error, code: BUS_MCEERR_AR } : error),
    acceptsIntact: options.acceptsIntact,
    withoutPopulated: options.withoutPopulated,
    pretendBad: options.lost,
    ...(options.fillPatienceMs === undefined ? {} : { fillPatienceMs: options.fillPatienceMs }),
    reportedBad: () => (options.unreported ? [] : options.lost),
    ...(memory === undefined
      ? {}
      : { sourceOf: ({ offset }) => ({ file: memory, offset: BigInt(options.readFrom) + offset }) }),
    onStep: (step) => {
      sendSignals(step);
      takePage(step);
      if (step === options.blockAt?.step) Atomics.wait(nobody, 0, 0, options.blockAt.ms);
      if (step !== options.killAt) return;
      seen += 1;
      if (seen === options.killAfter) process.kill(process.pid, "SIGKILL");
    },
  },
});
await guard.ended;
