/**
 * Step 5 of the walk in the tracee itself: its own thread reads its own RAM file straight into the spare. One copy instead of two, and
 * what it needs next is in its processor's cache.
 */

import { hva } from "../linux/address.js";
import { errno } from "../linux/errno.js";
import { allocateNative } from "../linux/native-memory.js";
import { RemoteCallError, type RemoteCalls } from "../tracee/remote-calls.js";
import { SMALL_PAGE } from "./large-page.js";
import { largePageReader, type PageSource, readableAt } from "./large-page-reader.js";
import type { OverlayIdentity } from "./overlay-name.js";
import { isStill } from "./ram-file.js";
import { RecoveryError } from "./recovery-error.js";
import { type Salvaged, salvageBy } from "./salvage.js";
import type { SpareRegion } from "./spare-region.js";

const buffer = allocateNative(SMALL_PAGE);

/**
 * @param remote a borrowed thread of the tracee
 * @param source the large page, as we read it: what stops the tracee's thread is looked at from here
 * @param page the large page
 * @param theirs the tracee's own descriptor of the RAM file
 * @param region where the bytes go: populated, not in place
 * @throws RecoveryError HM_SALVAGE_ALL_LOST, HM_SALVAGE_READ, HM_SALVAGE_OTHER_FILE; RemoteCallError
 */
export function salvageInTracee(
  remote: RemoteCalls,
  source: PageSource,
  page: OverlayIdentity,
  theirs: number,
  region: SpareRegion,
): Salvaged {
  const look = largePageReader(source, buffer.address);
  const salvaged = salvageBy(source.size, (position) => {
    const wanted = readableAt(source, position, source.size);
    const got = wanted === 0 ? 0 : readThere(remote, source, { theirs, region, position, wanted });
    // Neither data nor an error that we see as well: something else is wrong with its descriptor.
    if (got > 0 || look(position, SMALL_PAGE) === 0) return got;
    throw new RecoveryError("HM_SALVAGE_READ", "The process cannot read its own large page", {
      present: `nothing at ${position}, where we can read`,
      remedy: "The mapping was left as it was",
    });
  });
  if (isStill(remote.pid, theirs, page)) return salvaged;
  throw new RecoveryError("HM_SALVAGE_OTHER_FILE", "The process has just closed its RAM file", {
    present: `descriptor ${theirs} is another file`,
    remedy: "The mapping was left as it was",
  });
}

function readThere(
  remote: RemoteCalls,
  { offset }: PageSource,
  {
    theirs,
    region,
    position,
    wanted,
  }: { theirs: number; region: SpareRegion; position: number; wanted: number },
): number {
  const to = hva(region.start + BigInt(position));
  try {
    // SAFETY: fills our own region, which is not in place. If we die right here the thread finishes the call and comes home.
    const got = Number(remote.call("pread64", theirs, to, wanted, offset + BigInt(position)));
    return got - (got % SMALL_PAGE);
  } catch (error) {
    if (error instanceof RemoteCallError && error.errno === errno.EIO) return 0;
    throw error;
  }
}
