import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CliError } from "./cli-error.js";
import { parseProcessId } from "./process-id.js";

describe("parseProcessId", () => {
  for (const [text, pid] of [
    ["1", 1],
    ["4194304", 4194304],
    ["007", 7],
  ] as const) {
    it(`takes ${text}`, () => assert.equal(parseProcessId(text), pid));
  }
  for (const text of ["", " ", "0", "-1", "+1", "1.0", "1e3", "0x10", "4194305", "12345678", "1 ", "１"]) {
    it(`refuses "${text}"`, () => {
      assert.throws(
        () => parseProcessId(text),
        (error) =>
          error instanceof CliError &&
          error.code === "HM_CLI_PID" &&
          error.message.includes(JSON.stringify(text)),
      );
    });
  }
  it("gives a process id or an error for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.integer().map(String)), (text) => {
        try {
          const pid = parseProcessId(text);
          assert.ok(Number.isInteger(pid) && pid >= 1 && pid <= 4194304);
          assert.equal(Number(text), pid);
        } catch (error) {
          assert.ok(error instanceof CliError);
        }
      }),
    );
  });
});
