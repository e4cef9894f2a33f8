import { type BigIntStats, closeSync, fstatSync, openSync } from "node:fs";
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
  /** The VM's own descriptor of it, if it may read the large page itself. */
  readonly theirs: number | undefined;
  readonly identity: FileIdentity;
}

/**
 * Takes the VM's own descriptor of the file; without one it opens what is mapped there, which works for unlinked files and memfds too, but
 * takes longer.
 *
 * @throws RecoveryError HM_SALVAGE_OTHER_FILE; an error of the system when the mapping is gone
 */
export function openBacking(guard: GuardContext, page: LargePage): Backing {
  const taken = guard.ramDescriptors.take(guard.processDescriptor, page);
  if (taken !== undefined) return backingOf(guard, page, taken.ours, taken.stat, taken.theirs);
  const file = openSync(mapFilesPath(guard.pid, page.mapping), "r");
  const stat = fstatSync(file, { bigint: true });
  if (stat.ino === page.inode) return backingOf(guard, page, file, stat, undefined);
  closeSync(file);
  throw new RecoveryError("HM_SALVAGE_OTHER_FILE", "The RAM mapping now shows another file", {
    present: `inode ${stat.ino}`,
    expected: `inode ${page.inode}`,
  });
}

function backingOf(
  guard: GuardContext,
  { offset, size }: LargePage,
  file: number,
  { dev, ino }: BigIntStats,
  theirs: number | undefined,
): Backing {
  const instead = guard.sourceOf?.({ offset });
  return {
    file,
    source: { file, offset, size, pretendBad: guard.pretendBad, ...instead },
    theirs: instead === undefined ? theirs : undefined,
    identity: { device: dev.toString(), inode: ino.toString() },
  };
}
