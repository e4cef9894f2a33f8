import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMarker } from "./leftovers.js";

function information(features: string): string {
  return `pos:\t0\nflags:\t02000000\nmnt_id:\t17\nino:\t99912\npending:\t0\ntotal:\t0\nAPI:\taa:${features}:80000000000001ff\n`;
}

describe("isMarker", () => {
  it("knows a userfaultfd of ours", () => {
    assert.ok(isMarker(information("80004000"), false));
    assert.ok(isMarker(information("80004000"), true));
  });
  it("takes one that was never initialised for ours only if a guard has died", () => {
    assert.ok(!isMarker(information("0"), false));
    assert.ok(isMarker(information("0"), true));
  });
  it("leaves others alone: without features, with more features", () => {
    for (const features of ["80000000", "80004001", "8000400", "80004040", "4000"]) {
      assert.ok(!isMarker(information(features), true), features);
    }
    assert.ok(!isMarker("", true));
  });
});
