import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hva } from "../linux/address.js";
import type { LargePage } from "./large-page.js";
import { type OverlayIdentity, overlayName, parseOverlayPath } from "./overlay-name.js";

const hexByte = fc.integer({ min: 0, max: 255 }).map((value) => value.toString(16).padStart(2, "0"));
const identities: fc.Arbitrary<OverlayIdentity> = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(hva),
    fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    fc.constantFrom(2 ** 21, 2 ** 30, 2 ** 25, 2 ** 34),
    fc.tuple(hexByte, hexByte),
    fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  )
  .map(([base, offset, size, [major, minor], inode]) => ({
    ...{ base, offset, size, inode },
    device: `${major}:${minor}`,
  }));

function pageOf(identity: OverlayIdentity): LargePage {
  const { base, size, offset, device, inode } = identity;
  const mapping = { start: base, end: hva(base), read: true, write: true, execute: false, shared: true };
  return { base, size, offset, device, inode, mapping: { ...mapping, offset, device, inode, path: "" } };
}

describe("an overlay's name", () => {
  it("says all that a guard needs, and reads back", () => {
    fc.assert(
      fc.property(identities, fc.constantFrom("", " (deleted)"), (identity, suffix) => {
        const name = overlayName(pageOf(identity));
        assert.ok(name.length <= 249, "memfd_create(2) takes no more");
        assert.deepEqual(parseOverlayPath(`/memfd:${name}${suffix}`), identity);
      }),
    );
  });
  it("is read as an overlay or as nothing, whatever the text", () => {
    const almost = fc
      .array(
        fc.constantFrom(
          "/memfd:",
          "hugemend:",
          "7f00",
          ":",
          "0",
          "200000",
          "00.0f",
          "1",
          " (deleted)",
          "g",
          "-",
        ),
      )
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          almost,
          almost.map((text) => `/memfd:hugemend:${text}`),
        ),
        (path) => {
          const parsed = parseOverlayPath(path);
          if (parsed === undefined) return;
          const again = parseOverlayPath(`/memfd:${overlayName(pageOf(parsed))}`);
          assert.deepEqual(again, parsed);
        },
      ),
    );
  });
  for (const path of [
    "",
    "/memfd:hugemend:",
    "/memfd:hugemend:1:2:3:00.0f",
    "/memfd:hugemend:1:2:3:00.0f:4:5",
    "/memfd:hugemend:1:2:3:00:0f:4",
    "/memfd:hugemend:x:2:3:00.0f:4",
    "/memfd:hugemend:11111111111111111:2:3:00.0f:4",
    "/memfd:hugemend:1:2:3:00.0f:4 (deleted) (deleted)",
    "/tmp/memfd:hugemend:1:2:3:00.0f:4",
    "/memfd:hugemend2:1:2:3:00.0f:4",
  ]) {
    it(`is not "${path}"`, () => assert.equal(parseOverlayPath(path), undefined));
  }
});
