import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { frameInLog } from "./error-reports.js";

describe("the kernel log", () => {
  it("names the frame of a memory error", () => {
    const said = "3,9,1,-;Memory failure: 0x15e21: recovery action for huge page: Recovered\n";
    assert.equal(frameInLog(said), "0x15e21");
    assert.equal(frameInLog("3,9,1,-;Memory failure: 0x7: already hardware poisoned\n"), "0x7");
  });

  it("is not believed when a program wrote it", () => {
    assert.equal(
      frameInLog("11,9,1,-;Memory failure: 0x15e21: recovery action for huge page: Recovered\n"),
      undefined,
    );
  });

  it("names none in other lines", () => {
    for (const text of [
      "3,9,1,-;Memory failure: 0x15e21: Sending SIGBUS to qemu:171 due to hardware memory corruption\n",
      "3,9,1,-;x Memory failure: 0x15e21: recovery action for huge page: Recovered\n",
      "3,9,1,-;Memory failure: 0xg: recovery action for huge page: Recovered\n",
      "",
    ])
      assert.equal(frameInLog(text), undefined, text);
  });
});
