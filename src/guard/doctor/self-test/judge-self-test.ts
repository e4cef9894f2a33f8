/** From the self-test's outcome to a finding. Pure. */

import type { SalvageSupport } from "../../../linux/procfs/kernel-version.js";
import { type Finding, fine, formatBytes, problem } from "../finding.js";
import type { Leftover } from "./trial-report.js";
import type { SelfTest } from "./verdict.js";

const CODE = "HM_DOCTOR_SELF_TEST";

const BEHAVIOUR: Readonly<Record<SalvageSupport, string>> = {
  ok: "reads the good part of a poisoned large page, and nothing else",
  "all-eio": "reports an I/O error for every byte of a poisoned large page",
  drops: "drops a poisoned large page from its file: it reads as zeros",
  broken: "does not read a poisoned large page as any known kernel should",
};

/**
 * @param test what came of it
 * @param table what the version says (kernel-version.ts)
 * @param release `uname -r`
 */
export function judgeSelfTest(test: SelfTest, table: SalvageSupport, release: string): Finding {
  if (test.verdict === "unsupported") {
    return problem(CODE, "warning", {
      message: `The self-test could not be made (unsupported): ${test.why}.${left(test.leftover)}`,
      cost: "Only the version number says how this kernel reads a poisoned large page.",
      fix: "Remove the reason and run it again, or trust the version.",
    });
  }
  const agrees = test.verdict === table;
  const word = agrees ? "as its version says" : `but its version says ${table}`;
  const message = `Self-test: Linux ${release} ${BEHAVIOUR[test.verdict]} (${test.verdict}, ${word}; ${test.why}).`;
  if (test.verdict !== "ok") {
    return problem(CODE, "blocker", {
      message: message + left(test.leftover),
      cost: agrees
        ? "Nothing of a large page can be saved: an error loses all of it, as without Hugemend."
        : misled[test.verdict],
      fix: agrees ? "Boot Linux 6.6, or 6.8 or later." : "Guard nothing on this kernel, and report it.",
    });
  }
  if (!agrees) {
    return problem(CODE, "note", {
      message: message + left(test.leftover),
      cost: "The guard goes by the version and refuses, although this kernel could.",
      fix: "Boot Linux 6.6, or 6.8 or later.",
    });
  }
  if (left(test.leftover) === "") return fine(CODE, message);
  return problem(CODE, "note", {
    message,
    cost: left(test.leftover).trim(),
    fix: "Raise nr_hugepages by one, or reboot. With the module hwpoison-inject loaded the self-test leaves nothing behind.",
  });
}

/** What comes of a kernel that is worse than its version. */
const misled: Readonly<Record<Exclude<SalvageSupport, "ok">, string>> = {
  "all-eio":
    "Each recovery is refused with HM_SALVAGE_ALL_LOST: an error loses all of a large page, as without Hugemend.",
  drops:
    "Each recovery is refused with HM_SALVAGE_NOTHING_LOST: an error loses all of a large page, as without Hugemend.",
  broken: "A recovery could give a virtual machine wrong bytes.",
};

function left(leftover: Leftover | undefined): string {
  if (leftover === undefined) return "";
  const { markedBytes, poolPages } = leftover;
  const marked =
    markedBytes > 0 ? ` ${formatBytes(markedBytes)} of memory stay marked bad until the next boot.` : "";
  const pool = poolPages > 0 ? ` The pool has ${poolPages} large page less to give.` : "";
  return marked + pool;
}
