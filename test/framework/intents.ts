import type { Fill } from "../../src/ledger/events.js";
import { ledgerPath } from "../../src/ledger/ledger-folder.js";
import { readLedger } from "../../src/ledger/ledger-reader.js";
import { readStat } from "../../src/linux/procfs/stat.js";

/** What a guard was about to put in place, and why so. */
export interface Intent {
  readonly fill: Fill;
  readonly why: string;
}

/** @param pid a guarded process @param folder of the ledger @returns what its guards meant to do, in the order of their attempts */
export function intents(pid: number, folder: string): Intent[] {
  const { records } = readLedger(ledgerPath(folder, { pid, startTime: readStat(pid).startTime }));
  return records.flatMap(({ event }) =>
    event?.event === "intent" ? [{ fill: event.fill, why: event.fillWhy ?? "no reason" }] : [],
  );
}
