import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatBytes, formatList } from "./finding.js";

describe("texts of findings", () => {
  it("writes sizes as people do", () => {
    const sizes: [number, string][] = [
      [0, "0 bytes"],
      [4096, "4 KiB"],
      [2 ** 21, "2 MiB"],
      [2 ** 30, "1 GiB"],
      [3 * 2 ** 29, "1.5 GiB"],
      [2 ** 51, "2048 TiB"],
    ];
    for (const [bytes, text] of sizes) assert.equal(formatBytes(bytes), text);
  });

  it("cuts long lists and says by how much", () => {
    assert.equal(formatList([]), "");
    assert.equal(formatList(["a", "b"], 2), "a, b");
    assert.equal(formatList(["a", "b", "c", "d"], 2), "a, b and 2 more");
  });
});
