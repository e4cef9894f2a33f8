import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LinuxError } from "../linux-error.js";
import { parseRelease, readRelease, salvageSupport } from "./kernel-version.js";

describe("kernel version", () => {
  it("judges each release as the table in docs says", () => {
    const table = [
      ["4.18.0-553.el8_10.x86_64", "drops"],
      ["5.10.0-32-amd64", "drops"],
      ["6.0.19", "drops"],
      ["6.1.0-40-amd64", "all-eio"],
      ["6.1.192", "all-eio"],
      ["6.5.13-1-pve", "all-eio"],
      ["6.6.0", "ok"],
      ["6.6.72-talos", "ok"],
      ["6.7.0-rc1", "broken"],
      ["6.7.12", "broken"],
      ["6.8.0-52-generic", "ok"],
      ["6.12.107+deb13-amd64", "ok"],
      ["6.18", "ok"],
      ["7.0.0", "ok"],
      ["10.1.2", "ok"],
    ] as const;
    for (const [text, support] of table) assert.equal(salvageSupport(parseRelease(text)), support, text);
  });

  it("reads back every release", () => {
    const part = fc.nat(999);
    fc.assert(
      fc.property(
        part,
        part,
        part,
        fc.constantFrom("", "-amd64", "+deb13-amd64", ".el9.x86_64", "-rc3"),
        (...parts) => {
          const [major, minor, patch, suffix] = parts;
          const text = `${major}.${minor}.${patch}${suffix}`;
          assert.deepEqual(parseRelease(`${text}\n`), { major, minor, patch, text });
        },
      ),
    );
  });

  it("gives a value or a LinuxError for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (text) => {
        try {
          parseRelease(text);
        } catch (error) {
          assert.ok(error instanceof LinuxError, String(error));
        }
      }),
    );
    for (const text of ["", "6", "6.", "Linux 6.1", "v6.1.0"]) {
      assert.throws(() => parseRelease(text), { code: "HM_PROC_FORMAT" }, text);
    }
  });

  it("reads the running kernel", () => {
    assert.ok(readRelease().major >= 4);
  });
});
