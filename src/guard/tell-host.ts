/** What a guard says about the host before it guards: only what makes all of its work useless. It refuses nothing. */

import { existsSync } from "node:fs";
import type { Journal } from "./journal.js";

/** mm/memory-failure.c makes it. */
const SETTING = "/proc/sys/vm/memory_failure_recovery";

/** Warns on a kernel that was certainly built without CONFIG_MEMORY_FAILURE: it reports no memory error to anybody. */
export async function tellHost(journal: Journal): Promise<void> {
  if (existsSync(SETTING)) return;
  // Loaded here, not at the top: it unpacks kernel configurations, which no other guard needs.
  const { readMemoryFailureOption } = await import("../linux/procfs/kernel-config.js");
  const { enabled, source } = readMemoryFailureOption();
  if (enabled !== false) return;
  journal.tell({
    event: "warning",
    code: "HM_GUARD_NO_MEMORY_FAILURE",
    message:
      `The host's kernel was built without CONFIG_MEMORY_FAILURE (${source}): it reports no memory error, so there will be nothing to recover. ` +
      "`hugemend doctor` says what else is missing",
  });
}
