import { expectLoss } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim, type VictimConfig } from "../victim-config.js";

function onePageOn(victim: VictimConfig, name: string, summary: string): Scenario {
  return {
    name,
    summary,
    victim,
    async run(lab) {
      const guard = await lab.guard();
      const [large] = await lab.victim.ownLargePages(1);
      const bad = [(large?.gpa ?? 0) + 256 * 4096];
      await lab.victim.poison(bad);
      return expectLoss(lab, guard, bad);
    },
  };
}

/** RAM in a memfd of large pages. */
export const memfd: Scenario = onePageOn(
  { ...usualVictim, id: "memfd", backing: "memfd" },
  "memfd",
  "RAM from memory-backend-memfd,hugetlb=on: exactly one page is lost",
);

/** QEMU as it should be run: without privileges. */
export const confinedVictim: VictimConfig = { ...usualVictim, id: "confined", confined: true };

/** See {@link confinedVictim}. */
export const confined: Scenario = onePageOn(
  confinedVictim,
  "confined",
  "QEMU as an ordinary user in its seccomp sandbox: exactly one page is lost",
);
