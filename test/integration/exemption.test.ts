/** A VM that the configuration exempts is left alone. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GuardProcess } from "../framework/guard-process.js";
import { assertUntouched } from "../framework/process-state.js";
import { RamVictim } from "../framework/ram-victim.js";
import { TemporaryFolder } from "../framework/temporary-folder.js";

test("a VM whose name is in the file `exempt` is left alone, with a reason; others are not", async () => {
  using ledger = new TemporaryFolder();
  using configuration = new TemporaryFolder();
  await using owner = await RamVictim.start(1);
  const named = (name: string): Promise<RamVictim> =>
    RamVictim.start(1, { words: ["shared", `/proc/${owner.pid}/fd/3`, "-name", `guest=${name}`] });
  await using left = await named("database");
  await using other = await named("web");
  const guard = async (victim: RamVictim): Promise<GuardProcess> =>
    GuardProcess.wrapped(
      ["/usr/bin/env", `HUGEMEND_CONFIG=${configuration.path}`],
      ...["--pid", String(victim.pid), "--ledger", ledger.path],
    );

  writeFileSync(join(configuration.path, "exempt"), "# not this one\ndatabase\n");
  await using refused = await guard(left);
  assert.notEqual((await refused.child.end()).code, 0);
  assert.match(refused.child.output.all.concat(refused.child.errors.all).join("\n"), /HM_GUARD_EXEMPT\b/);
  await assertUntouched(left.pid);

  await using accepted = await guard(other);
  await accepted.waitFor("ready");
  await accepted.stop();
});
