import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gainedBytes } from "./give-back.js";

describe("what the host gains by a page that is given back", () => {
  it("is its good bytes when it has left the pool", () => {
    assert.equal(gainedBytes({ total: 300 }, { total: 299 }, 2_093_056), 2_093_056);
  });
  it("is nothing while the pool still has it", () => {
    assert.equal(gainedBytes({ total: 300 }, { total: 300 }, 2_093_056), 0);
  });
  it("is nothing when somebody has made the pool larger meanwhile, or when it is not known", () => {
    assert.equal(gainedBytes({ total: 300 }, { total: 310 }, 2_093_056), 0);
    assert.equal(gainedBytes(undefined, { total: 299 }, 2_093_056), 0);
    assert.equal(gainedBytes({ total: 300 }, undefined, 2_093_056), 0);
  });
});
