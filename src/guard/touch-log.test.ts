import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hva } from "../linux/address.js";
import { TouchLog } from "./touch-log.js";

describe("TouchLog", () => {
  it("tells a page once a minute, each page for itself", () => {
    const log = new TouchLog();
    const [first, second] = [hva(0x1000), hva(0x2000)];
    assert.equal(log.isNews(first, 0), true);
    assert.equal(log.isNews(first, 1), false);
    assert.equal(log.isNews(second, 1), true);
    assert.equal(log.isNews(first, 59_999), false);
    assert.equal(log.isNews(first, 60_000), true);
    assert.equal(log.isNews(first, 60_001), false);
    assert.equal(log.isNews(second, 60_000), false);
  });
});
