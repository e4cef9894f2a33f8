/**
 * Attaches a guard and tells what that cost: `{"ms":…}`. Lets go on SIGTERM. A program of its own, because a process has one guard,
 * and the start of the interpreter is no part of attaching.
 *
 *   node attach-driver.js PID LEDGER
 */

import { openGuard } from "../src/guard/open-guard.js";

const [pid, ledger] = process.argv.slice(2);
if (pid === undefined || ledger === undefined) throw new Error("usage: attach-driver PID LEDGER");

const begun = performance.now();
const guard = await openGuard({
  pid: Number(pid),
  qmp: undefined,
  ledger,
  quiesce: "auto",
  fill: "auto",
  sink: () => {},
});
const ms = performance.now() - begun;
process.once("SIGTERM", () => void guard.stop("SIGTERM"));
process.stdout.write(`${JSON.stringify({ ms })}\n`);
await guard.ended;
