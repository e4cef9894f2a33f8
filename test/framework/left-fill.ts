import assert from "node:assert/strict";
import type { DriverInput } from "../integration/drivers/driver-options.js";
import { GuardProcess } from "./guard-process.js";
import { untilUntraced } from "./process-state.js";
import type { RamVictim } from "./ram-victim.js";

/**
 * A guard replaces large page 1 lazily, fills only what is touched, and is killed: most of the replacement is missing, and nobody serves it.
 *
 * @param input of that guard; its fill has to be lazy
 */
export async function leaveFill(ram: RamVictim, input: DriverInput): Promise<void> {
  {
    await using guard = await GuardProcess.start({ ...input, fillRate: 0 });
    await ram.poison(1);
    assert.equal(await ram.touch(1), "ok");
    await guard.waitFor("recovered");
    await guard.murder();
  }
  await untilUntraced(ram.pid);
}
