/** What a plan looks at in the VM's process, kept open: opening a file of /proc costs more than reading it. */

import { MappingCount } from "../linux/procfs/mapping-count.js";
import { MappingLookup } from "../linux/procfs/mapping-lookup.js";
import { MemoryHeadroom } from "../linux/procfs/memory-headroom.js";
import { PagemapReader } from "../linux/procfs/pagemap-reader.js";
import { AnonymousOverlays } from "../recovery/anonymous-overlays.js";
import { SPARE_MAPPINGS } from "../recovery/plan.js";

/** See the head of the file. */
export class ProcessView implements Disposable {
  readonly mappings: MappingLookup;
  /** Replacements out of spares. */
  readonly overlays: AnonymousOverlays;
  readonly mappingCount: MappingCount;
  readonly pagemap: PagemapReader;
  /** What this process may take, which writes replacements that are filled before. */
  readonly ownHeadroom: MemoryHeadroom = new MemoryHeadroom("self");
  /** What the VM may take, which pays for those that are filled after (mm/userfaultfd.c). */
  readonly headroom: MemoryHeadroom;

  /** @param pid the VM @throws LinuxError HM_BAD_PID */
  constructor(pid: number) {
    this.mappings = new MappingLookup(pid);
    this.overlays = new AnonymousOverlays(this.mappings);
    this.mappingCount = new MappingCount(pid, SPARE_MAPPINGS);
    this.pagemap = new PagemapReader(pid);
    this.headroom = new MemoryHeadroom(pid);
  }

  [Symbol.dispose](): void {
    this.mappings[Symbol.dispose]();
    this.pagemap[Symbol.dispose]();
    this.ownHeadroom[Symbol.dispose]();
    this.headroom[Symbol.dispose]();
  }
}
