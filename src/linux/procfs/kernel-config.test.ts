import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseKernelConfig, readKernelConfig, readMemoryFailureOption } from "./kernel-config.js";

const CONFIG = `#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_MEMORY_FAILURE=y
CONFIG_HWPOISON_INJECT=m
# CONFIG_USERFAULTFD is not set
CONFIG_LOCALVERSION="-x"
`;

describe("kernel config", () => {
  it("reads options, and takes what is not set or not named for n", () => {
    assert.equal(parseKernelConfig(CONFIG, "CONFIG_MEMORY_FAILURE"), "y");
    assert.equal(parseKernelConfig(CONFIG, "CONFIG_HWPOISON_INJECT"), "m");
    assert.equal(parseKernelConfig(CONFIG, "CONFIG_USERFAULTFD"), "n");
    assert.equal(parseKernelConfig(CONFIG, "CONFIG_MEMORY"), "n");
    assert.equal(parseKernelConfig(CONFIG, "CONFIG_LOCALVERSION"), '"-x"');
  });

  it("gives a value for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (text) => {
        assert.equal(typeof parseKernelConfig(text, "CONFIG_MEMORY_FAILURE"), "string");
      }),
    );
  });

  it("says where its answer about this machine comes from, and agrees with the configuration", () => {
    const option = readMemoryFailureOption();
    assert.notEqual(option.source, "");
    const config = readKernelConfig();
    if (config !== undefined) {
      assert.equal(option.enabled, parseKernelConfig(config.text, "CONFIG_MEMORY_FAILURE") === "y");
    }
  });
});
