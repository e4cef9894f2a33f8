/**
 * The real guard on a victim whose poison is a userfaultfd marker. Differs from `hugemend guard` in three things that a
 * machine without bad memory needs: BUS_ADRERR counts as BUS_MCEERR_AR (what a kernel without CONFIG_MEMORY_FAILURE says at a
 * marker), chosen 4 KiB pages can be called lost, and it can end itself with SIGKILL at a named point of the walk.
 *
 *   node guard-driver.js '{"pid":…,"ledger":"…","lost":[0,4096],"killAt":"swapped","killAfter":1}'
 */

import { openGuard } from "../../../src/guard/open-guard.js";
import { BUS_MCEERR_AR } from "../../../src/linux/signal-info.js";
import { salvage } from "../../../src/recovery/salvage.js";
import { driverOptions } from "./driver-options.js";

const BUS_ADRERR = 2;
const options = driverOptions(process.argv[2]);
let seen = 0;

const guard = await openGuard({
  pid: options.pid,
  qmp: options.qmp,
  ledger: options.ledger,
  quiesce: options.quiesce,
  fill: "auto",
  sink: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  trial: {
    interpret: (error) => (error.code === BUS_ADRERR ? { ...error, code: BUS_MCEERR_AR } : error),
    salvage: (fd, offset, size, destination) => {
      const { lost, bytes } = salvage(fd, offset, size, destination);
      const all = [...new Set([...lost, ...options.lost])].sort((left, right) => left - right);
      return { lost: all, bytes: bytes - 4096 * (all.length - lost.length) };
    },
    onStep: (step) => {
      if (step !== options.killAt) return;
      seen += 1;
      if (seen === options.killAfter) process.kill(process.pid, "SIGKILL");
    },
  },
});
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => void guard.stop(name));
await guard.ended;
