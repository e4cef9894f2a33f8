import assert from "node:assert/strict";
import { test } from "node:test";
import { PROCMAP_QUERY } from "./shared-files.js";

test("the request is the one of include/uapi/linux/fs.h: _IOWR('f', 17, 104 bytes)", () => {
  assert.equal(PROCMAP_QUERY, 0xc0686611);
});
