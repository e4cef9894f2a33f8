import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMarker } from "./leftovers.js";

function information(features: string): string {
  return `pos:\t0\nflags:\t02000000\nmnt_id:\t17\nino:\t99912\npending:\t0\ntotal:\t0\nAPI:\taa:${features}:80000000000001ff\n`;
}

describe("isMarker", () => {
  it("knows a userfaultfd of ours", () => assert.ok(isMarker(information("80004000"))));
  it("leaves others alone: never initialised, without features, with more features", () => {
    for (const features of ["0", "80000000", "80004001", "8000400", "80004040", "4000"]) {
      assert.ok(!isMarker(information(features)), features);
    }
    assert.ok(!isMarker(""));
  });
});
