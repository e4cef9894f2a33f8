import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mapsAioRing } from "./aio.js";

describe("the ring of a Linux AIO context", () => {
  it("is found, deleted or not, and no file that is only named so", () => {
    const line = "7f0000000000-7f0000001000 rw-s 00000000 00:11 1234 ";
    assert.equal(mapsAioRing(`${line}                  /[aio] (deleted)\n`), true);
    assert.equal(mapsAioRing(`${line}                  /tmp/[aio]\n`), false);
    assert.equal(mapsAioRing(""), false);
  });
});
