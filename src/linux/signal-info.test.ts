import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "./address.js";
import { LinuxError } from "./linux-error.js";
import { decodeBusError, encodeBusError, SIGNAL_INFO_SIZE, signalNumber } from "./signal-info.js";

describe("siginfo", () => {
  it("is read where the kernel puts it", () => {
    // si_signo 7, si_errno 0, si_code BUS_MCEERR_AR, padding, si_addr, si_addr_lsb 21 (asm-generic/siginfo.h on 64 bits)
    const head = "07000000000000000400000000000000" + "00f05e1f7f7f0000" + "1500";
    const info = Buffer.concat([Buffer.from(head, "hex"), Buffer.alloc(SIGNAL_INFO_SIZE - head.length / 2)]);
    assert.deepEqual(decodeBusError(info), { code: 4, address: hva(0x7f7f1f5ef000n), addressLsb: 21 });
  });
  it("reads back what it wrote", () => {
    const errors = fc
      .tuple(
        fc.integer(),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(hva),
        fc.integer({ min: 0, max: 64 }),
      )
      .map(([code, address, addressLsb]) => ({ code, address, addressLsb }));
    fc.assert(
      fc.property(errors, (error) => {
        const info = encodeBusError(error);
        assert.equal(info.length, SIGNAL_INFO_SIZE);
        assert.deepEqual(decodeBusError(info), error);
      }),
    );
  });
  it("is a SIGBUS or an error", () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 200 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(bytes, (info) => {
        try {
          decodeBusError(info);
          assert.equal(signalNumber(info), 7);
        } catch (error) {
          assert.ok(error instanceof LinuxError && error.code === "HM_SIGNAL_INFO");
        }
      }),
    );
  });
});
