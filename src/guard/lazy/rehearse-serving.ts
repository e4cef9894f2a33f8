/**
 * The fault server's work, done on memory of its own before anybody depends on it: code that is new takes several times as long, and the first
 * to touch what is missing would wait for that.
 */

import { closeSync, openSync } from "node:fs";
import { hva } from "../../linux/address.js";
import { allocateNative } from "../../linux/native-memory.js";
import { closeDescriptor } from "../../linux/pidfd.js";
import { systemCall, trySystemCall } from "../../linux/system-call.js";
import {
  enablePoison,
  registerRange,
  UFFD_CLOEXEC,
  UFFD_NONBLOCK,
  UFFD_USER_MODE_ONLY,
} from "../../linux/userfaultfd.js";
import { newProgress } from "../../recovery/fill-progress.js";
import { SMALL_PAGE } from "../../recovery/large-page.js";
import { PageFill } from "../../recovery/page-fill.js";

const PAGES = 64;
/** Together 512 pages: some milliseconds. */
const ROUNDS = 8;
const MADV_DONTNEED = 4;

/** See the head of the file. @throws Error if this process may not do so: then it was not rehearsed, and no more */
export function rehearseServing(): void {
  const flags = UFFD_USER_MODE_ONLY | UFFD_CLOEXEC | UFFD_NONBLOCK;
  const { value, errno } = trySystemCall("userfaultfd", flags);
  if (errno !== 0) return;
  const userfaultfd = Number(value);
  const size = PAGES * SMALL_PAGE;
  const memory = allocateNative(size);
  const base = hva(memory.address);
  const file = openSync("/dev/zero", "r");
  try {
    enablePoison(userfaultfd);
    registerRange(userfaultfd, base, size);
    const source = { file, offset: 0n, size, pretendBad: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      const fill = new PageFill({ userfaultfd, base, source, progress: newProgress(size) });
      while (!fill.complete) {
        fill.serve();
        fill.fillNext(SMALL_PAGE);
      }
      // SAFETY: our own memory, of which nobody knows.
      systemCall("madvise", memory.address, size, MADV_DONTNEED);
    }
  } finally {
    closeSync(file);
    closeDescriptor(userfaultfd);
    memory.release();
  }
}
