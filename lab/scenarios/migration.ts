import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expectAlive, expectOnlyLost } from "../expect.js";
import { LabError } from "../lab-error.js";
import type { LabSession } from "../lab-session.js";
import type { Scenario } from "../scenario.js";
import { filledPages, usualVictim } from "../victim-config.js";

const file = "/run/migration";

/** A guarded VM migrates like any other; one with poison does not, which is QEMU's own rule. */
export const migration: Scenario = {
  name: "migration",
  onlyInAll: true,
  summary:
    "a guarded VM migrates to a file and back; after an error QEMU itself refuses to migrate, and the VM runs on",
  victim: usualVictim,
  async run(lab) {
    const first = await lab.guard();
    const saved = await migrate(lab);
    assert.equal(saved.status, "completed", JSON.stringify(saved));
    assert.equal(await lab.victim.qmp.status(), "postmigrate", "state of the saved VM");
    const bytes = Number(await lab.host.agent.must(`stat -c %s ${file}`));
    assert.ok(bytes > filledPages * 4096, `the file holds ${bytes} bytes`);
    await lab.restoreVictim(file);
    assert.equal((await first.ended()).code, 0, "end of the guard of the VM that was saved");
    await lab.host.agent.must(`rm ${file}`);
    expectOnlyLost(await lab.victim.checker.check(), []);

    const guard = await lab.guard();
    const [large] = await lab.victim.ownLargePages(1);
    const bad = [(large?.gpa ?? 0) + 256 * 4096];
    await lab.victim.poison(bad);
    expectOnlyLost(await lab.victim.checker.check(), bad);
    await guard.waitForCount("recovered", 1);
    const refusal = await migrate(lab).then(
      (info) => JSON.stringify(info),
      (error: unknown) => (error instanceof LabError ? String(error.present) : String(error)),
    );
    assert.match(refusal, /hardware poisoned memory/);
    const result = await lab.victim.checker.check();
    expectOnlyLost(result, bad);
    await expectAlive(lab);
    return `${describe(result)}; ${bytes} bytes saved and loaded before; then QEMU said: ${refusal.slice(0, 160)}`;
  },
};

async function migrate(lab: LabSession): Promise<{ readonly status: string }> {
  await lab.victim.qmp.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 33 });
  await lab.victim.qmp.execute("migrate", { uri: `file:${file}` });
  const until = Date.now() + 120_000;
  for (;;) {
    const info = await lab.victim.qmp.execute("query-migrate");
    const status = typeof info === "object" && info !== null && "status" in info ? String(info.status) : "";
    if (status === "completed" || status === "failed") return { ...Object(info), status };
    assert.ok(Date.now() < until, `the migration is still ${status}`);
    await sleep(500);
  }
}
