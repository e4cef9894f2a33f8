/** Messages of a userfaultfd whose open file description somebody else has as well. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { closeDescriptor } from "../../src/linux/pidfd.js";
import { systemCall } from "../../src/linux/system-call.js";
import {
  enableLazyFill,
  UFFD_CLOEXEC,
  UFFD_NONBLOCK,
  UFFD_USER_MODE_ONLY,
} from "../../src/linux/userfaultfd.js";
import { readMessages } from "../../src/linux/userfaultfd-fill.js";

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000n;

describe("a userfaultfd", () => {
  it("that somebody makes blocking makes nobody wait, and does not stay so", () => {
    const flags = UFFD_USER_MODE_ONLY | UFFD_CLOEXEC | UFFD_NONBLOCK;
    const descriptor = Number(systemCall("userfaultfd", flags));
    try {
      enableLazyFill(descriptor);
      systemCall("fcntl", descriptor, F_SETFL, 0);
      assert.equal(systemCall("fcntl", descriptor, F_GETFL) & O_NONBLOCK, 0n);
      assert.deepEqual(readMessages(descriptor), []);
      assert.equal(systemCall("fcntl", descriptor, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    } finally {
      closeDescriptor(descriptor);
    }
  });
});
