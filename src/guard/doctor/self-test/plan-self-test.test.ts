import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { costOf, planSelfTest, type SelfTestFacts } from "./plan-self-test.js";

const MIB = 2 ** 20;
const pool = { pageSize: 2 * MIB, node: undefined, total: 4, free: 2, reserved: 1, surplus: 0 };
const good: SelfTestFacts = {
  memoryFailure: { enabled: true },
  recoverySysctl: 1,
  pools: [pool],
  availableBytes: 2 ** 30,
  mayPoison: true,
  initialUserNamespace: true,
};

describe("the self-test's plan", () => {
  it("takes the smallest large page that is free and promised to nobody", () => {
    assert.deepEqual(planSelfTest(good), { pageSize: 2 * MIB });
    const gig = { ...pool, pageSize: 2 ** 30 };
    const pools = [{ ...pool, reserved: 2 }, gig];
    assert.deepEqual(planSelfTest({ ...good, pools, availableBytes: 2 ** 31 }), { pageSize: 2 ** 30 });
  });

  it("says why it cannot be made", () => {
    const cases: readonly (readonly [Partial<SelfTestFacts>, RegExp])[] = [
      [{ memoryFailure: { enabled: false } }, /CONFIG_MEMORY_FAILURE/],
      [{ memoryFailure: { enabled: undefined } }, /CONFIG_MEMORY_FAILURE/],
      [{ recoverySysctl: undefined }, /CONFIG_MEMORY_FAILURE/],
      // A poisoned page would bring the machine down.
      [{ recoverySysctl: 0 }, /vm\.memory_failure_recovery is 0/],
      [{ mayPoison: false }, /CAP_SYS_ADMIN/],
      [{ initialUserNamespace: false }, /user namespace/],
      [{ pools: [] }, /no large page is free/],
      [{ pools: [{ ...pool, free: 1 }] }, /no large page is free/],
      [{ availableBytes: 65 * MIB }, /needs 66 MiB of memory, 65 MiB are available/],
    ];
    for (const [change, reason] of cases) {
      const plan = planSelfTest({ ...good, ...change });
      assert.ok("unsupported" in plan);
      assert.match(plan.unsupported, reason);
    }
  });

  it("tells its cost beforehand", () => {
    assert.match(costOf(2 * MIB), /4 KiB of a free large page of 2 MiB/);
  });
});
