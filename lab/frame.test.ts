import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameReader, packFrame } from "./frame.js";

test("what was packed is read back, however the bytes are cut", () => {
  const frame = fc.record({
    verb: fc.constantFrom("out", "exit", "beat"),
    id: fc.nat(),
    payload: fc.uint8Array({ maxLength: 50 }),
  });
  fc.assert(
    fc.property(fc.array(frame), fc.integer({ min: 1, max: 30 }), (frames, size) => {
      const bytes = Buffer.concat(frames.map((one) => packFrame(one.verb, one.id, one.payload)));
      const reader = new FrameReader();
      const read = [];
      for (let at = 0; at < bytes.length; at += size)
        read.push(...reader.push(bytes.subarray(at, at + size)));
      assert.deepEqual(
        read.map((one) => ({ ...one, payload: [...one.payload] })),
        frames.map((one) => ({ ...one, payload: [...one.payload] })),
      );
    }),
  );
});
