import { expectLoss } from "../expect.js";
import type { Scenario } from "../scenario.js";
import { usualVictim } from "../victim-config.js";

/** Three bad pages in one large page. */
export const threePages: Scenario = {
  name: "three-pages",
  summary: "first, middle and last 4 KiB of one large page go bad: exactly those three are lost",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [0, 256, 511].map((page) => (large?.gpa ?? 0) + page * 4096);
    await lab.victim.poison(bad);
    return expectLoss(lab, guard, bad);
  },
};

/** Two large pages, poisoned one right after the other. */
export const twoLargePages: Scenario = {
  name: "two-large-pages",
  summary: "two neighbouring large pages go bad at once: exactly one 4 KiB of each is lost",
  victim: usualVictim,
  async run(lab) {
    const guard = await lab.guard();
    const large = await lab.victim.ownLargePages(2);
    const bad = large.map((page, index) => page.gpa + (17 + index * 400) * 4096);
    await lab.victim.poison(bad);
    return expectLoss(lab, guard, bad, { recoveries: 2 });
  },
};

/** Two vCPUs that read the same large pages, each its half of the small ones. */
export const twoVcpus: Scenario = {
  name: "two-vcpus",
  summary: "two large pages go bad while two vCPUs read both: exactly one 4 KiB of each is lost",
  victim: { ...usualVictim, id: "two-vcpus", vcpus: 2 },
  async run(lab) {
    const guard = await lab.guard();
    const large = await lab.victim.ownLargePages(2);
    const bad = large.map((page, index) => page.gpa + (100 + index * 101) * 4096);
    await lab.victim.poison(bad);
    return expectLoss(lab, guard, bad, { recoveries: 2, threads: 2 });
  },
};
