import { closeSync, fstatSync, openSync } from "node:fs";
import type { FileIdentity } from "../ledger/internal-events.js";
import { mapFilesPath } from "../linux/procfs/map-files.js";
import type { LargePage } from "../recovery/large-page.js";
import type { PageSource } from "../recovery/large-page-reader.js";
import { RecoveryError } from "../recovery/recovery-error.js";
import type { GuardContext } from "./guard-context.js";

/** The file behind a large page, open for reading. */
export interface Backing {
  readonly file: number;
  /** How the large page is read from it. */
  readonly source: PageSource;
  readonly identity: FileIdentity;
}

/**
 * Opens what is mapped there: works for unlinked files and memfds, and fails if the mapping has changed meanwhile.
 *
 * @throws RecoveryError HM_SALVAGE_OTHER_FILE; an error of the system when the mapping is gone
 */
export function openBacking(guard: GuardContext, page: LargePage): Backing {
  const file = openSync(mapFilesPath(guard.pid, page.mapping), "r");
  const { dev, ino } = fstatSync(file, { bigint: true });
  if (ino === page.inode) {
    const { offset, size } = page;
    const source = { file, offset, size, pretendBad: guard.pretendBad, ...guard.sourceOf?.(page) };
    return { file, source, identity: { device: dev.toString(), inode: ino.toString() } };
  }
  closeSync(file);
  throw new RecoveryError("HM_SALVAGE_OTHER_FILE", "The RAM mapping now shows another file", {
    present: `inode ${ino}`,
    expected: `inode ${page.inode}`,
  });
}
