import type { Hva } from "../linux/address.js";
import { mapping } from "../linux/native-memory.js";
import type { RemoteCalls } from "../tracee/remote-calls.js";
import type { LargePage } from "./large-page.js";
import { RecoveryError } from "./recovery-error.js";

/**
 * Moves a replacement over its large page.
 *
 * @param remote a borrowed thread of the tracee
 * @param page where it goes
 * @param region where it is: as large as the page
 * @param meanwhile what the call may wait for
 * @throws RemoteCallError if the kernel refuses: nothing has moved; RecoveryError HM_SWAP_ELSEWHERE, TraceeError
 */
export function moveOver(
  remote: RemoteCalls,
  page: LargePage,
  { start, size }: { readonly start: Hva; readonly size: number },
  meanwhile: () => void = () => {},
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
