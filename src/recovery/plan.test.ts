import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva } from "../linux/address.js";
import type { LargePage } from "./large-page.js";
import { type Plan, type PlanFacts, planRecovery } from "./plan.js";

const GIB = 2 ** 30;

function page(shared: boolean, size: number): LargePage {
  const base = hva(0x7f0000000000n);
  const file = { offset: 0n, device: "00:0f", inode: 7n };
  const mapping = {
    start: base,
    end: hva(base + BigInt(size)),
    read: true,
    write: true,
    execute: false,
    shared,
  };
  return { base, size, ...file, mapping: { ...mapping, ...file, path: "/memfd:ram (deleted)" } };
}

const good: PlanFacts = {
  page: page(true, 2 * 2 ** 20),
  salvage: "ok",
  kernel: "6.12.1",
  hazards: { transient: [], pinned: [], userfaultfds: [] },
  quiesce: "auto",
  fill: "auto",
  lazyObstacle: undefined,
  watched: false,
  hasQmp: true,
  sharers: [],
  mappings: 300,
  mappingsLimit: 65530,
  availableBytes: GIB,
  lazyAvailableBytes: GIB,
  whenShort: "refuse",
};

function verdict(plan: Plan): string {
  if (plan.action === "refuse") return plan.code;
  return plan.quiesce ? "pause" : "in place";
}

const transient = { transient: ["O_DIRECT descriptor 12"], pinned: [], userfaultfds: [] };
const pinned = { transient: [], pinned: ["vfio descriptor 3"], userfaultfds: [] };

/** What alone makes the plan differ from a recovery in place. */
const table: readonly (readonly [what: string, facts: Partial<PlanFacts>, expected: string])[] = [
  ["nothing in the way", {}, "in place"],
  ["no monitor, and no need for one", { hasQmp: false }, "in place"],
  ["a private mapping", { page: page(false, 2 * 2 ** 20) }, "HM_PLAN_PRIVATE"],
  ["a kernel that drops the page", { salvage: "drops" }, "HM_PLAN_KERNEL"],
  ["a kernel that reads nothing of it", { salvage: "all-eio" }, "HM_PLAN_KERNEL"],
  ["a kernel that walks into it", { salvage: "broken" }, "HM_PLAN_KERNEL"],
  ["a device that pins memory", { hazards: pinned }, "HM_PLAN_PINNED"],
  ["a second process on the same memory", { sharers: ["12 (virtiofsd)"] }, "HM_PLAN_SHARED_WITH_OTHERS"],
  ["a userfaultfd that watches", { watched: true }, "HM_PLAN_USERFAULTFD"],
  ["the last mapping that fits", { mappings: 65514 }, "in place"],
  ["one mapping too many", { mappings: 65515 }, "HM_PLAN_MAP_COUNT"],
  ["just enough memory", { availableBytes: 66 * 2 ** 20 }, "in place"],
  ["one byte too little", { availableBytes: 66 * 2 ** 20 - 1 }, "HM_PLAN_MEMORY"],
  ["1 GiB to replace and 1 GiB free", { page: page(true, GIB) }, "HM_PLAN_MEMORY"],
  ["1 GiB to replace and 2 GiB free", { page: page(true, GIB), availableBytes: 2 * GIB }, "in place"],
  ["direct I/O", { hazards: transient }, "pause"],
  ["direct I/O without a monitor", { hazards: transient, hasQmp: false }, "HM_PLAN_NO_QMP"],
  ["direct I/O, never pause", { hazards: transient, quiesce: "never" }, "in place"],
  ["always pause", { quiesce: "always" }, "pause"],
  ["always pause without a monitor", { quiesce: "always", hasQmp: false }, "HM_PLAN_NO_QMP"],
  ["never pause", { quiesce: "never", hasQmp: false }, "in place"],
];

describe("planRecovery", () => {
  for (const [what, facts, expected] of table) {
    it(`with ${what}: ${expected}`, () => {
      const plan = planRecovery({ ...good, ...facts });
      assert.equal(verdict(plan), expected);
      if (plan.action === "refuse") assert.match(plan.message, /^[A-Z].{30,}/);
      else assert.notEqual(plan.why, "");
    });
  }

  it("recovers in no case in which a single fact forbids it, in all combinations", () => {
    const choices = <const T>(...values: T[]): T[] => values;
    let recovered = 0;
    let combinations = 0;
    for (const shared of choices(true, false))
      for (const salvage of choices("ok", "drops", "all-eio", "broken"))
        for (const hazards of [good.hazards, transient, pinned])
          for (const sharers of [[], ["12 (virtiofsd)"]])
            for (const watched of choices(false, true))
              for (const mappings of choices(1, 65530))
                for (const availableBytes of choices(GIB, 0))
                  for (const quiesce of choices("auto", "always", "never"))
                    for (const hasQmp of choices(true, false)) {
                      const facts: PlanFacts = {
                        ...good,
                        ...{ salvage, hazards, sharers, watched, mappings, availableBytes, quiesce, hasQmp },
                        page: page(shared, 2 * 2 ** 20),
                      };
                      const plan = planRecovery(facts);
                      combinations += 1;
                      const forbidden =
                        !shared || salvage !== "ok" || hazards === pinned || sharers.length > 0 || watched;
                      const short = mappings === 65530 || availableBytes === 0;
                      const mustPause = quiesce === "always" || (quiesce === "auto" && hazards === transient);
                      const refused = forbidden || short || (mustPause && !hasQmp);
                      assert.equal(
                        plan.action,
                        refused ? "refuse" : "recover",
                        JSON.stringify(verdict(plan)),
                      );
                      if (plan.action === "recover") {
                        recovered += 1;
                        assert.equal(plan.quiesce, mustPause);
                      }
                      // The same facts give the same plan.
                      assert.deepEqual(planRecovery(facts), plan);
                    }
    assert.equal(combinations, 2 * 4 * 3 * 2 * 2 * 2 * 2 * 3 * 2);
    assert.equal(recovered, 9);
  });

  const gig: Partial<PlanFacts> = {
    page: page(true, GIB),
    availableBytes: 2 * GIB,
    lazyAvailableBytes: 2 * GIB,
  };
  const fills: readonly (readonly [what: string, facts: Partial<PlanFacts>, expected: string])[] = [
    ["2 MiB", {}, "eager"],
    ["2 MiB, if it is to be lazy", { fill: "lazy" }, "lazy"],
    ["1 GiB", gig, "lazy"],
    ["1 GiB, if it is to be eager", { ...gig, fill: "eager" }, "eager"],
    ["1 GiB with something in the way", { ...gig, lazyObstacle: "RAM is locked" }, "eager"],
    ["1 GiB that the VM's limit forbids", { ...gig, lazyAvailableBytes: GIB }, "eager"],
    ["1 GiB that nobody has", { ...gig, lazyAvailableBytes: GIB, availableBytes: GIB }, "HM_PLAN_MEMORY"],
    [
      "1 GiB that nobody has, by need",
      { ...gig, lazyAvailableBytes: 0, whenShort: "touched" },
      "lazy by need",
    ],
  ];
  for (const [what, facts, expected] of fills) {
    it(`fills ${what}: ${expected}`, () => {
      const plan = planRecovery({ ...good, ...facts });
      if (plan.action === "refuse") return assert.equal(plan.code, expected);
      assert.equal(plan.onlyTouched ? `${plan.fill} by need` : plan.fill, expected);
      return assert.notEqual(plan.fillWhy, "");
    });
  }
});
