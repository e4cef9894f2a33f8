/**
 * Puts a poison marker over one whole large page of another process, in the process's own name: what the victims do to
 * themselves, for a program that does not. Nothing may touch the page before a guard is there.
 *
 *   node poison-driver.js '{"pid":…,"address":"0x…","size":2097152}'
 */

import { z } from "zod";
import { hva } from "../../../src/linux/address.js";
import { closeDescriptor, openProcess, takeDescriptor } from "../../../src/linux/pidfd.js";
import {
  enablePoison,
  markPoisoned,
  registerRange,
  UFFD_CLOEXEC,
  UFFD_USER_MODE_ONLY,
  unregisterRange,
} from "../../../src/linux/userfaultfd.js";
import { Tracee } from "../../../src/tracee/tracee.js";

const MADV_DONTNEED = 4;
const ATTEMPTS = 1000;

const { pid, address, size } = z
  .object({ pid: z.int(), address: z.string(), size: z.int() })
  .parse(JSON.parse(process.argv[2] ?? "{}"));
const page = hva(BigInt(address));

const tracee = Tracee.attach(pid);
tracee.start({ busError: (held) => held.deliver(), gone: () => {} });
const held = tracee.holdAny();
const processDescriptor = openProcess(pid);
try {
  using remote = held.borrow();
  const theirs = Number(remote.call("userfaultfd", UFFD_USER_MODE_ONLY | UFFD_CLOEXEC));
  const ours = takeDescriptor(processDescriptor, theirs);
  enablePoison(ours);
  registerRange(ours, page, size);
  let marked = false;
  for (let attempt = 0; attempt < ATTEMPTS && !marked; attempt++) {
    // SAFETY: a shared mapping: its file keeps every byte.
    remote.call("madvise", page, size, MADV_DONTNEED);
    marked = markPoisoned(ours, page, size);
  }
  unregisterRange(ours, page, size);
  closeDescriptor(ours);
  remote.call("close", theirs);
  process.stdout.write(marked ? "poisoned\n" : "the page was touched again and again\n");
} finally {
  held.withhold();
  closeDescriptor(processDescriptor);
}
tracee.detach();
