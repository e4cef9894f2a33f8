import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../address.js";
import { LinuxError } from "../linux-error.js";
import { numaMode, numaPolicyAt } from "./numa-maps.js";

const text = [
  "00400000 default file=/usr/bin/qemu mapped=3 N0=3 kernelpagesize_kB=4",
  "7f0000000000 bind:0 file=/dev/hugepages/ram huge dirty=4 N0=4 kernelpagesize_kB=2048",
  "7f0000800000 prefer (many)=static:0-1,3 file=/memfd:x huge",
  "7f0001000000 weighted interleave:0-1 anon=1",
  "7f0001800000 bind=relative|balancing:1 anon=1",
  "7f0002000000 local",
  "",
].join("\n");

describe("numaPolicyAt", () => {
  it("reads what the kernel prints", () => {
    const at = (start: bigint): unknown => numaPolicyAt(text, hva(start));
    assert.equal(at(0x400000n), undefined);
    assert.equal(at(0x7f0000001000n), undefined);
    assert.deepEqual(at(0x7f0000000000n), { mode: 2, nodes: [0] });
    assert.deepEqual(at(0x7f0000800000n), { mode: 5 | (1 << 15), nodes: [0, 1, 3] });
    assert.deepEqual(at(0x7f0001000000n), { mode: 6, nodes: [0, 1] });
    assert.deepEqual(at(0x7f0001800000n), { mode: 2 | (1 << 14) | (1 << 13), nodes: [1] });
    assert.deepEqual(at(0x7f0002000000n), { mode: 4, nodes: [] });
  });

  it("finds every policy it can be shown", () => {
    const modes = Object.keys(numaMode).filter((name) => name !== "default");
    const nodes = fc.uniqueArray(fc.integer({ min: 0, max: 1023 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.constantFrom(...modes), nodes, (name, chosen) => {
        const sorted = [...chosen].sort((left, right) => left - right);
        const policy = numaPolicyAt(`7f0000000000 ${name}:${sorted.join(",")} huge\n`, hva(0x7f0000000000n));
        assert.deepEqual(policy?.nodes, sorted);
        assert.equal(policy?.mode, Object.entries(numaMode).find(([known]) => known === name)?.[1]);
      }),
    );
  });

  it("refuses anything else", () => {
    for (const policy of ["", "bind:", "bind:0-", "bind:3-1", "bind=odd:0", "sometimes:0", "bind:99999"]) {
      assert.throws(() => numaPolicyAt(`7f0000000000 ${policy}\n`, hva(0x7f0000000000n)), LinuxError, policy);
    }
  });

  it("never throws anything but its own error", () => {
    fc.assert(
      fc.property(fc.string(), (line) => {
        try {
          numaPolicyAt(`7f0000000000 ${line}`, hva(0x7f0000000000n));
        } catch (error) {
          assert.ok(error instanceof LinuxError);
        }
      }),
    );
  });
});
