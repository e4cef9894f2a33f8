import { expectLoss } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** One bad 4 KiB page somewhere in a large page. */
function onePage(name: string, place: string, page: number): Scenario {
  return {
    name,
    summary: `the ${place} 4 KiB of a large page goes bad: exactly that one is lost`,
    victim: usualVictim,
    async run(lab) {
      const guard = await lab.guard();
      const [large] = await lab.victim.ownLargePages(1);
      const bad = [(large?.gpa ?? 0) + page * 4096];
      await lab.victim.poison(bad);
      return expectLoss(lab, guard, bad);
    },
  };
}

/** The bad page is the first, one in the middle, or the last of its large page. */
export const onePageScenarios: readonly Scenario[] = [
  onePage("first-page", "first", 0),
  onePage("middle-page", "middle", 256),
  onePage("last-page", "last", 511),
];
