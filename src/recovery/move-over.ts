import type { Hva } from "../linux/address.js";
import { mapping } from "../linux/native-memory.js";
import { RemoteCallError, type RemoteCalls } from "../tracee/remote-calls.js";
import type { LargePage } from "./large-page.js";
import { RecoveryError } from "./recovery-error.js";

/** What else belongs to a move. */
export interface MoveInit {
  /** What the call may wait for. */
  readonly meanwhile?: () => void;
  /** The region has a tag that names the page: called when it is sure that the region has not moved, and serves no page any more. */
  readonly takeTagBack?: () => void;
}

/**
 * Moves a replacement over its large page.
 *
 * @param remote a borrowed thread of the tracee
 * @param page where it goes
 * @param region where it is: as large as the page
 * @throws RemoteCallError if the kernel refuses: nothing has moved; RecoveryError HM_SWAP_ELSEWHERE, TraceeError
 */
export function moveOver(
  remote: RemoteCalls,
  page: LargePage,
  region: { readonly start: Hva; readonly size: number },
  { meanwhile = (): void => {}, takeTagBack = (): void => {} }: MoveInit = {},
): void {
  try {
    move(remote, page, region, meanwhile);
  } catch (error) {
    // Only a refusal by the kernel is sure not to have moved it: otherwise the tag stays, for whoever looks next.
    if (error instanceof RemoteCallError) takeTagBack();
    throw error;
  }
}

function move(
  remote: RemoteCalls,
  page: LargePage,
  { start, size }: { readonly start: Hva; readonly size: number },
  meanwhile: () => void,
): void {
  const flags = mapping.MREMAP_MAYMOVE | mapping.MREMAP_FIXED;
  // SAFETY: `base` is one whole large page of the mapping it was classified in, and no thread of the tracee changes QEMU's RAM mappings while
  // it runs a guest. What the kernel refuses it refuses before it unmaps the page (mm/mremap.c mremap_to), but for small allocations of its
  // own, which it does not let fail. One call under its mmap lock: if we die, it has happened or it has not. Of a region that a userfaultfd
  // watches the thread may wait in it for the message to be taken, which the next guard does first of all.
  const moved = remote.callMeanwhile(meanwhile, "mremap", start, size, size, flags, page.base);
  if (moved === page.base) return;
  throw new RecoveryError("HM_SWAP_ELSEWHERE", "The kernel moved the replacement to another place");
}
