/** Random sequences on a real process with the real guard, compared with what the model of a large page's life says. */

import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { anyCommand, PAGES } from "../framework/life-commands.js";
import { LifePair } from "../framework/life-pair.js";
import { ObligingMonitor } from "../framework/obliging-monitor.js";
import { LARGE_PAGE, RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";
import { acquire } from "../hugepages.js";

test("a real process fares as the model says, in random sequences of errors, touches, resets and guards' deaths", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyCommand, { minLength: 8, maxLength: 25 }), async (all) => {
      await using ram = await RamVictim.start(PAGES);
      // What comes in the place of bad large pages.
      await using _free = await acquire(PAGES, LARGE_PAGE);
      using folder = new TemporaryFolder();
      const path = join(folder.path, "qmp");
      await using monitor = await ObligingMonitor.start(path, ram.start, PAGES * LARGE_PAGE);
      const pair = new LifePair(ram, monitor, join(folder.path, "ledger"));
      try {
        for (const one of all) await pair.play(one);
      } finally {
        await pair.finish();
      }
    }),
    { numRuns: 8, endOnFailure: true },
  );
});
