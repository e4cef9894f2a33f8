import { readFileSync, writeFileSync } from "node:fs";

const SETTING = "/sys/kernel/mm/transparent_hugepage/enabled";

/**
 * Does something while this machine makes transparent huge pages as said; they are made as before afterwards, whatever happens.
 *
 * @param choice the machine's setting meanwhile
 */
export async function withHugePages(choice: "madvise" | "never", work: () => Promise<void>): Promise<void> {
  const before = /\[(\w+)\]/.exec(readFileSync(SETTING, "latin1"))?.[1] ?? "madvise";
  try {
    writeFileSync(SETTING, choice);
    await work();
  } finally {
    writeFileSync(SETTING, before);
  }
}
