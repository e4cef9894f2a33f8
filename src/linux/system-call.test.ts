import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errno, errnoName } from "./errno.js";
import { LinuxError } from "./linux-error.js";
import { rawSystemCall } from "./native.js";
import { SystemCallError, systemCall, trySystemCall } from "./system-call.js";

const refusesWord = (error: unknown): boolean =>
  error instanceof LinuxError && error.code === "HM_WORD_RANGE";

describe("system calls of this process", () => {
  it("give their result", () => {
    assert.deepEqual(trySystemCall("getpid"), { value: BigInt(process.pid), errno: 0 });
    assert.equal(systemCall("getpid"), BigInt(process.pid));
  });
  it("give their error, and no stale one afterwards", () => {
    assert.deepEqual(trySystemCall("close", -1), { value: -1n, errno: errno.EBADF });
    assert.equal(trySystemCall("getpid").errno, 0);
    assert.throws(
      () => systemCall("close", -1),
      (error) =>
        error instanceof SystemCallError && error.errno === errno.EBADF && /EBADF/.test(error.message),
    );
  });
  it("take only words of 64 bits", () => {
    for (const word of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n]) {
      assert.throws(() => rawSystemCall(39, word), refusesWord, String(word));
    }
    for (const word of [2n ** 64n - 1n, -(2n ** 63n), Number.MAX_SAFE_INTEGER]) {
      assert.equal(rawSystemCall(39, word).errno, 0);
    }
  });
  it("take at most six arguments", () => {
    assert.throws(() => rawSystemCall(39, 1, 2, 3, 4, 5, 6, 7), refusesWord);
  });
  it("name known error numbers", () => {
    assert.equal(errnoName(5), "EIO");
    assert.equal(errnoName(9999), "errno 9999");
  });
});
