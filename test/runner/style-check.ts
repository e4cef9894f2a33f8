import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Tally } from "./tally.js";

/** Runs the formatter's and linter's check. @param root of the package */
export function checkStyle(tally: Tally, root: string): void {
  const program = join(root, "node_modules/.bin/biome");
  const { status, stdout, stderr } = spawnSync(program, ["check", "--colors=off", "."], {
    cwd: root,
    encoding: "utf8",
  });
  if (status === 0) tally.pass();
  else tally.fail("biome check", `${stdout}${stderr}`.trim() || "it could not be started");
}
