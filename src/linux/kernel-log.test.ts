import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseKernelLogRecord } from "./kernel-log.js";

describe("a record of the kernel log", () => {
  it("has a facility and a text", () => {
    assert.deepEqual(parseKernelLogRecord("3,812,47220934,-;Memory failure: 0x15e21: gone\n SUBSYSTEM=x\n"), {
      facility: 0,
      text: "Memory failure: 0x15e21: gone",
    });
    assert.deepEqual(parseKernelLogRecord("12,1,5,-,caller=T1;hello;world\n"), {
      facility: 1,
      text: "hello;world",
    });
    assert.equal(parseKernelLogRecord(" DEVICE=b1:2"), undefined);
  });

  it("is read or is none, whatever it holds", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(200), (text, prefix) => {
        const record = parseKernelLogRecord(`${prefix},1,2,-;${text}\n`);
        assert.equal(record?.facility, prefix >> 3);
        assert.equal(record?.text, text.split("\n")[0]);
        parseKernelLogRecord(text);
      }),
    );
  });
});
