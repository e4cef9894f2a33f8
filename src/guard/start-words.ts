/** What a guard says and does right after it has attached. */

import type { HugetlbMapping } from "../linux/procfs/map-files.js";
import type { GuardContext } from "./guard-context.js";
import { kitOf } from "./kit.js";
import { lookAgain } from "./look-again.js";
import { ramRegions, ramWarnings } from "./ram-table.js";
import { busMaskOf, type Inventory } from "./takeover.js";

/** Tells what limits the protection, what an earlier guard has left, and `ready`. */
export function tellState(guard: GuardContext, inventory: Inventory, ram: readonly HugetlbMapping[]): void {
  const { journal, pid, telling, tracee, vm } = guard;
  for (const warning of ramWarnings(pid, ram, inventory.placed)) journal.tell(warning);
  if (inventory.placed.length > 0) telling.afterGap();
  if (inventory.busHandler === undefined) {
    journal.tell({
      event: "warning",
      code: "HM_SIGBUS_NOT_CAUGHT",
      message: `Process ${pid} does not handle SIGBUS: touching a lost page ends it, as without Hugemend`,
    });
  }
  if (inventory.removed > 0) {
    journal.tell({
      event: "warning",
      code: "HM_TAKEOVER_CLEANED",
      message: `An earlier guard was killed; removed ${inventory.removed} unused mappings or descriptors of it`,
    });
  }
  const regions = ramRegions(ram, inventory.placed, vm);
  journal.tell({ event: "ready", pid, threads: tracee.threadIds.length, ram: regions, kit: kitOf(guard) });
}

/**
 * A thread that was inside its SIGBUS handler at attach seemed to block the signal: looks again, some times.
 *
 * @param besides called each time, afterwards
 */
export function lookAgainLater({ busHandler, busMasks, pid }: GuardContext, besides: () => void): void {
  const look = (): boolean => {
    // Without a handler nothing is ever put back.
    if (busHandler === undefined) return true;
    try {
      return busMasks.lookAgain((tid) => busMaskOf(pid, tid), performance.now());
    } catch {
      // The process is ending, or may not be read: what is known stays.
      return true;
    }
  };
  lookAgain(look, besides);
}
